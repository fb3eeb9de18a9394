//! `styles.xml`: the styles that every book has (`styles.xml` beside this file), and those of blocks inside quotes and
//! lists, which are made as they are met.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use super::page;
use crate::export::zip::{Method, Zip};

/// How far a list or quote is indented, in twentieths of a point.
pub(super) const STEP: u32 = 360;
/// Deeper than this nothing is indented: the page would end.
const MOST_LEFT: u32 = STEP * 14;
const MOST_RIGHT: u32 = STEP * 4;
/// How many styles are made; a book has a handful.
const MOST_STYLES: usize = 256;
/// How deep quotes have a name of their own.
const MOST_QUOTES: usize = 9;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Body,
    First,
    Quote,
    Item,
    CompactItem,
    /// Where a chapter without a title begins.
    Chapter,
    Heading(u8),
    Code,
    Rule,
    Figure,
    Caption,
    Separator,
    Table,
    /// What stands in a table.
    Cell,
    Note,
    Unmentioned,
}

impl Kind {
    /// The plain style.
    pub(super) fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Body => "BodyText",
            Self::First => "FirstParagraph",
            Self::Quote => "Quote",
            Self::Item => "ListParagraph",
            Self::CompactItem => "ListCompact",
            Self::Chapter => "ChapterStart",
            Self::Heading(level) => return Cow::Owned(format!("Heading{level}")),
            Self::Code => "CodeBlock",
            Self::Rule => "Rule",
            Self::Figure => "Figure",
            Self::Caption => "Caption",
            Self::Separator => "Separator",
            Self::Table => "BookTable",
            Self::Cell => "TableText",
            Self::Note => "FootnoteText",
            Self::Unmentioned => "UnmentionedNotes",
        })
    }
}

/// The styles that were made.
#[derive(Debug, Default)]
pub(super) struct Styles {
    made: BTreeMap<Kind, BTreeSet<Box<str>>>,
}

impl Styles {
    /// The style of a block; `None` where there are too many, and the plain one must do.
    pub(super) fn name(&mut self, kind: Kind, path: &str, is_numbered: bool) -> Option<Cow<'static, str>> {
        let is_item = matches!(kind, Kind::Item | Kind::CompactItem);
        let is_plain = path.is_empty()
            || is_item && is_numbered && path.len() <= super::numbering::LEVELS && !path.contains('Q')
            || path == "Q" && kind == Kind::Quote;
        if is_plain {
            return Some(kind.name());
        }
        if kind == Kind::Quote && path.len() <= MOST_QUOTES && !path.contains('L') {
            return Some(Cow::Owned(format!("Quote{}", path.len())));
        }
        if !self.made.get(&kind).is_some_and(|paths| paths.contains(path)) {
            if self.count() >= MOST_STYLES {
                return None;
            }
            self.made.entry(kind).or_default().insert(Box::from(path));
        }
        Some(Cow::Owned(format!("{}_{path}", kind.name())))
    }

    fn count(&self) -> usize {
        self.made.values().map(BTreeSet::len).sum()
    }

    /// Writes the part.
    pub(super) fn write(
        &self,
        zip: &mut Zip,
        out: &mut dyn Write,
        language: &str,
        is_right_to_left: bool,
    ) -> io::Result<()> {
        zip.begin(out, "word/styles.xml", Method::Deflate, false)?;
        let east_asian = east_asian_font(language);
        let language = match (language, is_right_to_left) {
            ("und", _) => String::new(),
            (language, true) => format!("<w:lang w:bidi=\"{language}\"/>"),
            (language, false) if east_asian.is_some() => {
                format!("<w:lang w:val=\"{language}\" w:eastAsia=\"{language}\"/>")
            }
            (language, false) => format!("<w:lang w:val=\"{language}\"/>"),
        };
        let east_asian = east_asian.unwrap_or("SimSun");
        let direction = if is_right_to_left { "<w:bidi/>" } else { "" };
        let head = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
             <w:styles xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:docDefaults>\
             <w:rPrDefault><w:rPr><w:rFonts w:ascii=\"Georgia\" w:eastAsia=\"{east_asian}\" w:hAnsi=\"Georgia\" \
             w:cs=\"Times New Roman\"/><w:sz w:val=\"22\"/><w:szCs w:val=\"22\"/>{language}</w:rPr></w:rPrDefault>\
             <w:pPrDefault><w:pPr>{direction}<w:spacing w:after=\"120\" w:line=\"300\" w:lineRule=\"auto\"/></w:pPr>\
             </w:pPrDefault></w:docDefaults>\n"
        );
        zip.write(out, head.as_bytes())?;
        let tab = page::TEXT_WIDTH.to_string();
        zip.write(out, include_str!("styles.xml").replace("{tab}", &tab).as_bytes())?;
        for (kind, path) in
            self.made.iter().flat_map(|(kind, paths)| paths.iter().map(move |path| (kind, path)))
        {
            zip.write(out, style(*kind, path).as_bytes())?;
        }
        zip.write(out, b"</w:styles>")?;
        zip.end(out)
    }
}

/// The indents of a block at this path, left and right.
pub(super) fn indents(path: &str) -> (u32, u32) {
    let depth = |count: usize, most: u32| u32::try_from(count).unwrap_or(most).saturating_mul(STEP).min(most);
    (depth(path.len(), MOST_LEFT), depth(path.matches('Q').count(), MOST_RIGHT))
}

/// The font of a language whose letters the others lack; those of Unicode's common ideographs differ by language.
fn east_asian_font(language: &str) -> Option<&'static str> {
    let tag = language.to_ascii_lowercase();
    match tag.split('-').next() {
        Some("ja") => Some("MS Mincho"),
        Some("ko") => Some("Batang"),
        Some("zh" | "yue") if tag.contains("hant") || tag.ends_with("-tw") || tag.ends_with("-hk") => {
            Some("PMingLiU")
        }
        Some("zh" | "yue") => Some("SimSun"),
        _ => None,
    }
}

fn style(kind: Kind, path: &str) -> String {
    let (left, right) = indents(path);
    let base = kind.name();
    if kind == Kind::Table {
        return format!(
            "<w:style w:type=\"table\" w:customStyle=\"1\" w:styleId=\"{base}_{path}\">\
             <w:name w:val=\"{base} {path}\"/><w:basedOn w:val=\"{base}\"/>\
             <w:tblPr><w:tblInd w:w=\"{left}\" w:type=\"dxa\"/></w:tblPr></w:style>\n"
        );
    }
    // A rule keeps its distance from both sides.
    let (left, right) = if kind == Kind::Rule { (left + 2_160, right + 2_160) } else { (left, right) };
    format!(
        "<w:style w:type=\"paragraph\" w:customStyle=\"1\" w:styleId=\"{base}_{path}\">\
         <w:name w:val=\"{base} {path}\"/><w:basedOn w:val=\"{base}\"/>\
         <w:pPr><w:ind w:left=\"{left}\" w:right=\"{right}\" w:firstLine=\"0\"/></w:pPr></w:style>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_says_what_a_block_is_and_where_it_stands() {
        let mut styles = Styles::default();
        let mut name = |kind, path, is_numbered| styles.name(kind, path, is_numbered).unwrap().into_owned();
        assert_eq!(name(Kind::First, "", false), "FirstParagraph");
        assert_eq!(name(Kind::Quote, "Q", false), "Quote");
        assert_eq!(name(Kind::Quote, "QQQ", true), "Quote3");
        assert_eq!(name(Kind::Quote, "LQ", false), "Quote_LQ");
        assert_eq!(name(Kind::Item, "LL", true), "ListParagraph");
        assert_eq!(name(Kind::Item, "LL", false), "ListParagraph_LL");
        assert_eq!(name(Kind::CompactItem, "QL", true), "ListCompact_QL");
        assert_eq!(name(Kind::Code, "L", true), "CodeBlock_L");
        assert_eq!(styles.count(), 4);
    }

    #[test]
    fn the_number_of_styles_is_bounded() {
        let mut styles = Styles::default();
        let depths: Vec<String> = (1..=300).map(|depth| "L".repeat(depth)).collect();
        assert_eq!(
            depths.iter().filter(|path| styles.name(Kind::Code, path, false).is_some()).count(),
            MOST_STYLES
        );
        assert!(styles.name(Kind::Code, "LL", false).is_some());
    }
}
