//! `numbering.xml`: bullets for all lists without numbers, and for each numbered list where it begins.

use std::io::{self, Write};

use super::styles::STEP;
use crate::{
    export::zip::{Held, Zip},
    scratch::Scratch,
};

/// The list that all bullets belong to.
pub(super) const BULLETS: u32 = 1;
/// Word knows so many levels.
pub(super) const LEVELS: usize = 9;
/// The largest first number that Word takes.
pub(super) const MOST_FIRST: u64 = 32_767;
/// How many bytes the lists may have, compressed: about ten each.
const MOST_BYTES: usize = 4 << 20;

/// The lists so far.
pub(super) struct Numbering {
    held: Held,
    lists: u32,
}

impl Numbering {
    /// No list yet.
    pub(super) fn new(scratch: &Scratch) -> io::Result<Self> {
        let mut held = Held::new(MOST_BYTES, scratch);
        held.write(concat!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n",
            "<w:numbering xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\">"
        ))?;
        for (id, is_numbered) in [(0, false), (1, true)] {
            held.write(&format!(
                "<w:abstractNum w:abstractNumId=\"{id}\"><w:multiLevelType w:val=\"hybridMultilevel\"/>"
            ))?;
            for level in 0..LEVELS {
                held.write(&abstract_level(level, is_numbered))?;
            }
            held.write("</w:abstractNum>")?;
        }
        held.write(&format!("<w:num w:numId=\"{BULLETS}\"><w:abstractNumId w:val=\"0\"/></w:num>"))?;
        Ok(Self { held, lists: BULLETS })
    }

    /// The number of a new numbered list; `None` where there are too many.
    pub(super) fn numbered(&mut self, level: usize, first: u64) -> io::Result<Option<u32>> {
        if self.held.is_full() {
            return Ok(None);
        }
        self.lists += 1;
        self.held.write(&format!(
            "<w:num w:numId=\"{}\"><w:abstractNumId w:val=\"1\"/><w:lvlOverride w:ilvl=\"{level}\">\
             <w:startOverride w:val=\"{first}\"/></w:lvlOverride></w:num>",
            self.lists
        ))?;
        Ok(Some(self.lists))
    }

    /// Writes the part.
    pub(super) fn finish(mut self, zip: &mut Zip, out: &mut dyn Write) -> io::Result<()> {
        self.held.write("</w:numbering>")?;
        zip.held(out, "word/numbering.xml", self.held)
    }
}

fn abstract_level(level: usize, is_numbered: bool) -> String {
    let (format, text) = if is_numbered {
        ("decimal", format!("%{}.", level + 1))
    } else {
        ("bullet", ["•", "◦", "▪"][level % 3].to_owned())
    };
    format!(
        "<w:lvl w:ilvl=\"{level}\"><w:start w:val=\"1\"/><w:numFmt w:val=\"{format}\"/><w:lvlText w:val=\"{text}\"/>\
         <w:lvlJc w:val=\"left\"/><w:pPr><w:ind w:left=\"{}\" w:hanging=\"{STEP}\"/></w:pPr></w:lvl>",
        STEP as usize * (level + 1)
    )
}
