//! Footnotes. Those of the open chapter wait for its end, as a note may stand before or after its mark; those of finished
//! chapters are kept compressed, because the part that holds them follows the text. Once they have taken what memory
//! they may, the notes of each further chapter stand at its end.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{
    body::Body,
    names,
    paragraph::Story,
    runs::{self, Mark, Sort},
    styles::Kind,
};
use crate::{
    book::BookError,
    export::{
        loss,
        zip::{Held, Zip},
    },
    scratch::Scratch,
};

/// Where a note's own mark belongs. No legal text has it.
pub(super) const MARK: char = '\u{0}';
/// How many bytes finished notes may have, compressed: Word reads that part at once.
const MOST_BYTES: usize = 12 << 20;
/// What stands above notes, and above those that go on from the page before.
const SEPARATORS: &str = concat!(
    "<w:footnote w:type=\"separator\" w:id=\"-1\"><w:p><w:pPr>",
    "<w:spacing w:after=\"0\" w:line=\"240\" w:lineRule=\"auto\"/></w:pPr><w:r><w:separator/></w:r></w:p>",
    "</w:footnote><w:footnote w:type=\"continuationSeparator\" w:id=\"0\"><w:p><w:pPr>",
    "<w:spacing w:after=\"0\" w:line=\"240\" w:lineRule=\"auto\"/></w:pPr><w:r><w:continuationSeparator/></w:r>",
    "</w:p></w:footnote>",
);

/// The notes so far.
pub(super) struct Notes {
    held: Held,
    by_label: BTreeMap<Box<str>, Note>,
    /// How many are numbered; the last one's number and id.
    numbered: u32,
    /// Whether the open chapter's notes stand at its end.
    pub(super) at_chapter_end: bool,
}

/// A note of which a mention or the text was seen.
#[derive(Debug, Default)]
struct Note {
    /// From 1; 0 while nothing mentions it.
    number: u32,
    text: Option<String>,
}

impl Notes {
    /// No note yet.
    pub(super) fn new(scratch: &Scratch) -> io::Result<Self> {
        Self::at_most(MOST_BYTES, scratch)
    }

    fn at_most(bytes: usize, scratch: &Scratch) -> io::Result<Self> {
        let mut held = Held::new(bytes, scratch);
        held.write("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<w:footnotes")?;
        held.write(super::NAMESPACES)?;
        held.write(">")?;
        held.write(SEPARATORS)?;
        Ok(Self { held, by_label: BTreeMap::new(), numbered: 0, at_chapter_end: false })
    }

    /// Writes the part.
    pub(super) fn finish(mut self, zip: &mut Zip, out: &mut dyn Write) -> io::Result<()> {
        self.held.write("</w:footnotes>")?;
        zip.held(out, "word/footnotes.xml", self.held)
    }
}

impl Body {
    /// A mark that leads to a note.
    pub(super) fn note_reference(&mut self, label: &str) {
        self.ready(None);
        self.has_more();
        let is_nested = self.story.note.is_some();
        let note = self.notes.by_label.entry(Box::from(label)).or_default();
        if note.number > 0 {
            let number = note.number;
            let again = if self.notes.at_chapter_end {
                self.mark_at_chapter_end(number)
            } else {
                format!(
                    "<w:fldSimple w:instr=\" NOTEREF {} \\f \\h \">{}</w:fldSimple>",
                    names::note(number),
                    number_run(number, &self.story.marks)
                )
            };
            return self.story.out.push_str(&again);
        }
        if is_nested {
            // Notes have no marks of other notes, and which number the other one gets is not known yet.
            self.losses.add(loss::NESTED_NOTE);
            let properties = runs::properties(Sort::Note, &self.story.marks, false);
            return self.story.out.push_str(&format!("<w:r>{properties}<w:t>*</w:t></w:r>"));
        }
        self.notes.numbered += 1;
        note.number = self.notes.numbered;
        let number = note.number;
        let mark = self.first_mark(number);
        self.story.out.push_str(&mark);
    }

    fn first_mark(&mut self, number: u32) -> String {
        if self.notes.at_chapter_end {
            return self.mark_at_chapter_end(number);
        }
        let (id, name) = (self.id(), names::note(number));
        format!(
            "<w:bookmarkStart w:id=\"{id}\" w:name=\"{name}\"/><w:r>{}<w:footnoteReference w:id=\"{number}\"/></w:r>\
             <w:bookmarkEnd w:id=\"{id}\"/>",
            runs::properties(Sort::Note, &self.story.marks, false)
        )
    }

    fn mark_at_chapter_end(&self, number: u32) -> String {
        let run = number_run(number, &self.story.marks);
        if self.is_in_link() {
            return run;
        }
        format!("<w:hyperlink w:anchor=\"{}\" w:history=\"1\">{run}</w:hyperlink>", names::note(number))
    }

    /// A paragraph of nothing but a note's mark, where the note begins with something else.
    pub(super) fn write_note_mark(&mut self) {
        if self.story.mark_waits {
            let waits = std::mem::take(&mut self.story.item_waits);
            self.open(Kind::Note, None);
            self.close();
            self.story.item_waits = waits;
        }
    }

    pub(super) fn end_note(&mut self) {
        self.close();
        self.write_note_mark();
        if self.story.ends_in_table {
            self.open(Kind::Separator, None);
            self.close();
        }
        let Some(outer) = self.waiting.pop() else { return };
        let Story { note, out, .. } = std::mem::replace(&mut self.story, outer);
        if let Some(label) = note {
            // Where two have the same label, the first one counts.
            self.notes.by_label.entry(label).or_default().text.get_or_insert(out);
        }
    }

    /// Puts the chapter's notes away, with a place for those that nothing mentions.
    pub(super) fn write_notes(&mut self) -> Result<(), BookError> {
        self.close();
        let by_label = std::mem::take(&mut self.notes.by_label);
        let mut list: Vec<Note> = by_label.into_values().collect();
        list.sort_by_key(|note| if note.number == 0 { u32::MAX } else { note.number });
        if list.last().is_some_and(|note| note.number == 0) {
            self.open(Kind::Unmentioned, None);
            self.ready(None);
            for note in list.iter_mut().filter(|note| note.number == 0) {
                self.notes.numbered += 1;
                note.number = self.notes.numbered;
                let mark = self.first_mark(note.number);
                self.story.out.push_str(&mark);
            }
            self.close();
        }
        for Note { number, text } in list {
            let text = text.unwrap_or_else(|| {
                self.losses.add(loss::FOOTNOTE);
                format!("<w:p><w:pPr><w:pStyle w:val=\"FootnoteText\"/></w:pPr>{MARK}</w:p>")
            });
            if self.notes.at_chapter_end {
                self.losses.add(loss::NOTE_PLACE);
                let mark = self.bookmark(&names::note(number)) + &number_run(number, &[]);
                self.story.out.push_str(&text.replace(MARK, &(mark + SPACE)));
            } else {
                let mark = format!("<w:r>{}<w:footnoteRef/></w:r>", runs::properties(Sort::Note, &[], false));
                let held = &mut self.notes.held;
                held.write(&format!("<w:footnote w:id=\"{number}\">"))?;
                held.write(&text.replace(MARK, &(mark + SPACE)))?;
                held.write("</w:footnote>")?;
            }
        }
        self.notes.at_chapter_end = self.notes.held.is_full();
        Ok(())
    }
}

/// Parts a note's mark from its text.
const SPACE: &str = "<w:r><w:t xml:space=\"preserve\"> </w:t></w:r>";

/// A note's number, as it is shown.
fn number_run(number: u32, marks: &[Mark]) -> String {
    format!("<w:r>{}<w:t>{number}</w:t></w:r>", runs::properties(Sort::Note, marks, false))
}

#[cfg(test)]
mod tests {
    use std::{io::Read, sync::Arc};

    use super::*;
    use crate::{
        book::{Asset, Book, Event, Metadata, Tag},
        export::{AssetSource, lookup::Lookup},
    };

    struct NoPictures;

    impl AssetSource for NoPictures {
        fn open(&mut self, asset: &Asset) -> Result<Box<dyn Read + '_>, BookError> {
            Err(BookError::input(asset.name.as_str(), "there are none"))
        }
    }

    fn chapter(body: &mut Body, index: usize) -> String {
        let mention = || Event::FootnoteReference("n".into());
        let start = Event::ChapterStart { index, title: "".into() };
        let note = Tag::Footnote { label: "n".into() };
        let end = note.end();
        for event in [start, mention(), mention(), Event::Start(note), Event::Text("Of it.".into())] {
            body.event(event).unwrap();
        }
        for event in [Event::End(end), Event::ChapterEnd] {
            body.event(event).unwrap();
        }
        std::mem::take(&mut body.story.out)
    }

    #[test]
    fn once_there_is_no_room_notes_stand_at_their_chapters_end() {
        let lookup = Arc::new(Lookup::new(Arc::new(Book::new(Metadata::default()))));
        let mut body = Body::new(lookup, Box::new(NoPictures)).unwrap();
        body.notes = Notes::at_most(0, &Scratch::default()).unwrap();
        let (one, two) = (chapter(&mut body, 0), chapter(&mut body, 1));
        assert!(
            one.contains("<w:footnoteReference w:id=\"1\"/>") && one.contains("NOTEREF note_1 "),
            "{one}"
        );
        assert!(!one.contains("Of it."), "{one}");
        assert!(!two.contains("footnoteReference w:id") && two.contains("Of it.</w:t>"), "{two}");
        assert_eq!(two.matches("w:anchor=\"note_2\"").count(), 2, "{two}");
        assert_eq!(two.matches("w:name=\"note_2\"").count(), 1, "{two}");
        assert_eq!(body.losses.iter().collect::<Vec<_>>(), [(loss::NOTE_PLACE, 1)]);
    }
}
