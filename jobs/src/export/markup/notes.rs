//! Footnotes: numbered by their first mention in the chapter, kept until its end, written there with a way back.

use std::collections::BTreeMap;

use super::{Markup, Style};
use crate::export::{escape::escaped, loss};

/// The footnotes of the open chapter.
#[derive(Debug, Default)]
pub(super) struct Notes {
    by_label: BTreeMap<Box<str>, Note>,
    mentioned: usize,
    /// Definitions that are being written, the innermost last.
    open: Vec<(Box<str>, String)>,
}

/// A footnote of which a mention or the definition was seen.
#[derive(Debug, Default)]
struct Note {
    /// From 1; 0 while nothing mentions it.
    number: usize,
    mentions: usize,
    /// Whether a mention can be linked back to.
    has_way_back: bool,
    text: Option<String>,
}

impl Notes {
    /// The text of the innermost definition that is open.
    pub(super) fn open_text(&mut self) -> Option<&mut String> {
        self.open.last_mut().map(|(_, text)| text)
    }

    /// A definition begins.
    pub(super) fn open(&mut self, label: &str) {
        self.open.push((Box::from(label), String::new()));
    }

    /// The innermost definition ends. Where two have the same label, the first one counts.
    pub(super) fn close(&mut self) {
        if let Some((label, text)) = self.open.pop() {
            self.by_label.entry(label).or_default().text.get_or_insert(text);
        }
    }

    fn mention(&mut self, label: &str) -> &mut Note {
        let note = self.by_label.entry(Box::from(label)).or_default();
        if note.number == 0 {
            self.mentioned += 1;
            note.number = self.mentioned;
        }
        note.mentions += 1;
        note
    }
}

impl Markup {
    /// A mark that leads to the note. Inside a link it is only a number, as links can't be nested.
    pub(super) fn note_reference(&mut self, label: &str) {
        let in_link = self.links.contains(&true);
        let note = self.notes.mention(label);
        let (number, mentions) = (note.number, note.mentions);
        if in_link {
            return self.push(&format!("<sup>{number}</sup>"));
        }
        let first = !std::mem::replace(&mut note.has_way_back, true);
        let id = if first { format!("ref.{number}") } else { format!("ref.{number}.{mentions}") };
        let (id, note) =
            (self.full_id(self.chapter, &id), self.full_id(self.chapter, &format!("note.{number}")));
        let kind = if self.style == Style::Epub { " epub:type=\"noteref\"" } else { "" };
        self.push(&format!(
            "<a class=\"noteref\"{kind} role=\"doc-noteref\" id=\"{id}\" href=\"#{note}\">{number}</a>"
        ));
    }

    /// Writes the chapter's notes in the order of their mention, then those that nothing mentions.
    pub(super) fn write_notes(&mut self) {
        let notes = std::mem::take(&mut self.notes);
        if notes.by_label.is_empty() {
            return;
        }
        let mut list: Vec<(Box<str>, Note)> = notes.by_label.into_iter().collect();
        list.sort_by_key(|(_, note)| if note.number == 0 { usize::MAX } else { note.number });
        let epub = self.style == Style::Epub;
        self.push(if epub {
            "<section class=\"notes\" epub:type=\"footnotes\">\n"
        } else {
            "<section class=\"notes\">\n"
        });
        for (at, (label, note)) in list.into_iter().enumerate() {
            let number = at + 1;
            let id = self.full_id(self.chapter, &format!("note.{number}"));
            let Some(text) = note.text else {
                self.losses.add(loss::FOOTNOTE);
                self.push(&format!("<span id=\"{id}\"></span>\n"));
                continue;
            };
            let kind = match epub {
                true => format!(" epub:type=\"footnote\" data-label=\"{}\"", escaped(&label)),
                false => String::new(),
            };
            self.push(&format!("<aside{kind} role=\"doc-footnote\" id=\"{id}\">\n"));
            if note.has_way_back {
                let back = self.full_id(self.chapter, &format!("ref.{number}"));
                self.push(&format!(
                    "<a class=\"note-mark\" role=\"doc-backlink\" href=\"#{back}\">{number}</a>\n"
                ));
            } else {
                self.push(&format!("<span class=\"note-mark\">{number}</span>\n"));
            }
            self.push(&text);
            self.push("</aside>\n");
        }
        self.push("</section>\n");
    }
}
