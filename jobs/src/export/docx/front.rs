//! What stands before the first chapter: cover, title page, contents.

use std::{
    io::{self, Write},
    sync::Arc,
};

use super::{
    body::Body,
    names, page,
    runs::{self, Sort},
};
use crate::{
    book::BookError,
    export::{escape::runs_right_to_left, language, zip::Zip},
};

impl Body {
    /// Writes cover and title page.
    pub(super) fn title_page(&mut self) -> Result<(), BookError> {
        let lookup = Arc::clone(&self.lookup);
        let mut before = "";
        if let Some((index, asset)) = lookup.cover() {
            let most = (page::TEXT_WIDTH, page::PICTURE_HEIGHT);
            let drawing = self.drawing(index, asset, lookup.title(), "", most)?;
            let out = &mut self.story.out;
            out.push_str("<w:p><w:pPr><w:pStyle w:val=\"Cover\"/></w:pPr><w:r>");
            out.push_str(&drawing);
            out.push_str("</w:r></w:p>");
            before = "<w:pageBreakBefore/>";
        }
        let metadata = &lookup.book().metadata;
        self.line("Title", before, lookup.title());
        self.line("Subtitle", "", &metadata.subtitle);
        for author in &metadata.authors {
            self.line("Author", "", author);
        }
        for line in metadata.imprint() {
            self.line("Imprint", "", line);
        }
        Ok(())
    }

    /// A paragraph of plain text, or nothing where there is none.
    fn line(&mut self, style: &str, before: &str, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let base = runs_right_to_left(text).unwrap_or(self.right_to_left);
        let direction = match base {
            same if same == self.right_to_left => "",
            true => "<w:bidi/>",
            false => "<w:bidi w:val=\"0\"/>",
        };
        let out = &mut self.story.out;
        out.push_str(&format!("<w:p><w:pPr><w:pStyle w:val=\"{style}\"/>{before}{direction}</w:pPr>"));
        runs::push_text(out, text, Sort::Plain, &[], base);
        out.push_str("</w:p>");
    }

    /// Writes the contents: a field that programs fill in anew when asked, with the chapters in it already. Handed on in
    /// pieces, as there may be tens of thousands of them.
    pub(super) fn contents(&mut self, zip: &mut Zip, out: &mut dyn Write) -> io::Result<()> {
        const BEGIN: &str = concat!(
            "<w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:instrText xml:space=\"preserve\">",
            " TOC \\o \"1-3\" \\h \\z \\u </w:instrText></w:r><w:r><w:fldChar w:fldCharType=\"separate\"/></w:r>"
        );
        let lookup = Arc::clone(&self.lookup);
        let chapters = lookup.book().chapters.len();
        if chapters == 0 {
            return Ok(());
        }
        self.line("TOCHeading", "", language::contents(&lookup.book().metadata.language));
        for index in 0..chapters {
            let title = lookup.chapter_title(index);
            let base = runs_right_to_left(&title).unwrap_or(self.right_to_left);
            let text = &mut self.story.out;
            text.push_str("<w:p><w:pPr><w:pStyle w:val=\"TOC1\"/>");
            if base != self.right_to_left {
                text.push_str(if base { "<w:bidi/>" } else { "<w:bidi w:val=\"0\"/>" });
            }
            text.push_str("</w:pPr>");
            if index == 0 {
                text.push_str(BEGIN);
            }
            text.push_str(&format!("<w:hyperlink w:anchor=\"{}\" w:history=\"1\">", names::chapter(index)));
            runs::push_text(text, &title, Sort::Plain, &[], base);
            text.push_str("</w:hyperlink>");
            if index + 1 == chapters {
                text.push_str("<w:r><w:fldChar w:fldCharType=\"end\"/></w:r>");
            }
            text.push_str("</w:p>");
            if text.len() >= super::PIECE_BYTES || index + 1 == chapters {
                zip.write(out, text.as_bytes())?;
                text.clear();
            }
        }
        Ok(())
    }
}
