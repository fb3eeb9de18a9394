//! A part of a book: which chapters go out, how the file says so, and what becomes of links that lead out of the part.
//! Must not know: formats. An exporter is given the part as a book of its own.

use std::{fmt, num::NonZeroU32, ops::Range, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{lookup::Lookup, loss};
use crate::book::{Book, BookError, ChapterList, EndTag, Event, LinkTarget, Losses, Tag};

/// Which chapters go out, counted from 1 as readers count: `3`, `2-5`, or `2-` for all from the second on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chapters {
    first: NonZeroU32,
    /// The last one; the book's own where nothing is said.
    last: Option<NonZeroU32>,
}

/// The text tells no chapters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChaptersError {
    /// It has another form.
    #[error("{0:?} tells no chapters: write 3 for one, 2-5 for a range, 2- for all from the second on")]
    Form(String),
    /// It begins before the first one.
    #[error("chapters are counted from 1: there is no chapter 0")]
    Zero,
    /// It ends before it begins.
    #[error("chapters {0}-{1} end before they begin: write {1}-{0}")]
    Backwards(NonZeroU32, NonZeroU32),
}

impl FromStr for Chapters {
    type Err = ChaptersError;

    fn from_str(text: &str) -> Result<Self, ChaptersError> {
        let form = || ChaptersError::Form(text.chars().take(40).collect());
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number: u32 = if plain { digits.parse().map_err(|_| form())? } else { return Err(form()) };
            NonZeroU32::new(number).ok_or(ChaptersError::Zero)
        };
        let text = text.trim();
        let (first, last) = match text.split_once('-') {
            None => (number(text)?, Some(number(text)?)),
            Some((first, "")) => (number(first)?, None),
            Some((first, last)) => (number(first)?, Some(number(last)?)),
        };
        match last {
            Some(last) if last < first => Err(ChaptersError::Backwards(first, last)),
            last => Ok(Self { first, last }),
        }
    }
}

impl fmt::Display for Chapters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) if last == self.first => write!(f, "{last}"),
            Some(last) => write!(f, "{}-{last}", self.first),
            None => write!(f, "{}-", self.first),
        }
    }
}

impl Serialize for Chapters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Chapters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Chapters {
    /// What a file's name says of them: `chapter-3`, `chapters-2-5`, `chapters-2-end`. It is known before the book is read.
    pub(super) fn label(&self) -> String {
        match self.last {
            Some(last) if last == self.first => format!("chapter-{last}"),
            Some(last) => format!("chapters-{}-{last}", self.first),
            None => format!("chapters-{}-end", self.first),
        }
    }

    /// Their places, from 0, in a book of so many chapters.
    fn places(&self, total: usize) -> Result<Range<usize>, String> {
        let place = |number: NonZeroU32| usize::try_from(number.get()).unwrap_or(usize::MAX);
        let (first, last) = (place(self.first), self.last.map_or(total, place));
        match first.max(last) {
            missing if missing > total => {
                let chapters =
                    if total == 1 { "one chapter".to_owned() } else { format!("{total} chapters") };
                Err(format!("the book has {chapters}: there is no chapter {missing}"))
            }
            _ => Ok(first - 1..last),
        }
    }
}

/// What of a book goes out.
#[derive(Clone, Debug)]
pub(super) struct Part {
    book: Arc<Book>,
    /// Where it lies in a book of which it is not the whole.
    within: Option<(Range<usize>, Arc<Book>)>,
}

impl Part {
    /// The chapters asked for as a book of their own; the whole book where none are. A part has no cover, as a cover
    /// announces a whole book, and an identifier of its own, so that a reading device shows it beside the book.
    pub(super) fn of(whole: &Arc<Book>, chapters: Option<Chapters>) -> Result<Self, BookError> {
        let Some(chapters) = chapters else { return Ok(Self { book: whole.clone(), within: None }) };
        let places = chapters.places(whole.chapters.len());
        let places = places.map_err(|problem| BookError::input("book.json", problem))?;
        let mut metadata = whole.metadata.clone();
        metadata.cover = None;
        let named = [&metadata.identifier, &metadata.title].map(|name| name.trim().to_owned());
        let of = named.into_iter().find(|name| !name.is_empty());
        metadata.identifier =
            format!("{} of {}", chapters.label(), of.unwrap_or_else(|| "an untitled book".to_owned()));
        let mut entries = ChapterList::default();
        for (place, entry) in places.clone().filter_map(|place| Some((place, whole.chapters.get(place)?))) {
            // A chapter without a title keeps the number that it has in the book.
            match entry.title.trim().is_empty() {
                true => entries.push(&entry.file(), &format!("Chapter {}", place + 1)),
                false => entries.push(&entry.file(), entry.title),
            }
        }
        let book =
            Book { chapters: entries, metadata, assets: whole.assets.clone(), ..Book::new(<_>::default()) };
        Ok(Self { book: Arc::new(book), within: Some((places, whole.clone())) })
    }

    /// It, as a book.
    pub(super) fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// What takes the links out of the stream that lead out of the part; `None` for a whole book.
    pub(super) fn boundary(&self) -> Option<Boundary> {
        let (places, whole) = self.within.clone()?;
        let lookup = Lookup::new(whole);
        Some(Boundary { places, lookup, chapter: 0, hidden: Vec::new(), losses: Losses::default() })
    }
}

/// Takes the links out of a part's stream that lead to chapters outside of it; what stood in them stays.
#[derive(Debug)]
pub(super) struct Boundary {
    places: Range<usize>,
    /// Of the whole book.
    lookup: Lookup,
    /// The open chapter's place in the whole book.
    chapter: usize,
    /// For each open link, whether it was taken out.
    hidden: Vec<bool>,
    losses: Losses,
}

impl Boundary {
    /// Whether an event is to be left out. Every event of a checked stream has to be shown to it.
    pub(super) fn hides(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::ChapterStart { index, .. } => self.chapter = self.places.start + index,
            Event::Start(Tag::Link { target, .. }) => {
                let leads_out = match self.lookup.link(self.chapter, target) {
                    LinkTarget::Chapter { index, .. } => !self.places.contains(&index),
                    LinkTarget::External(_) | LinkTarget::Nowhere => false,
                };
                if leads_out {
                    self.losses.add(loss::OUTSIDE);
                }
                self.hidden.push(leads_out);
                return leads_out;
            }
            Event::End(EndTag::Link) => return self.hidden.pop().unwrap_or_default(),
            _ => {}
        }
        false
    }

    /// The links that it took out, counted.
    pub(super) fn losses(&self) -> &Losses {
        &self.losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{ChapterEntry, Metadata};

    fn chapters(text: &str) -> Chapters {
        text.parse().unwrap()
    }

    fn book(total: usize) -> Arc<Book> {
        let metadata = Metadata { title: "Novel".into(), cover: Some("c.png".into()), ..Metadata::default() };
        let mut book = Book::new(metadata);
        let entry = |number: usize| {
            let title = if number == 3 { String::new() } else { format!("The {number}") };
            ChapterEntry { file: format!("r/chapters/{number:04}-x.md"), title }
        };
        book.chapters = (1..=total).map(entry).collect();
        Arc::new(book)
    }

    #[test]
    fn chapters_are_told_as_readers_count_them() {
        for (text, label, places) in
            [("3", "chapter-3", 2..3), ("2-5", "chapters-2-5", 1..5), ("2-", "chapters-2-end", 1..7)]
        {
            assert_eq!(chapters(text).to_string(), text);
            assert_eq!(chapters(text).label(), label);
            assert_eq!(chapters(text).places(7), Ok(places));
            let json = format!("\"{text}\"");
            assert_eq!(serde_json::to_string(&chapters(text)).unwrap(), json);
            assert_eq!(serde_json::from_str::<Chapters>(&json).unwrap(), chapters(text));
        }
        assert_eq!(chapters("4-4"), chapters("4"));
    }

    #[test]
    fn what_tells_no_chapters_is_refused_with_the_way_to_write_it() {
        for text in ["", "-", "x", "-3", "1-2-3", "1,2", "+1", "1.5", "99999999999", "２"] {
            assert_eq!(text.parse::<Chapters>(), Err(ChaptersError::Form(text.to_owned())), "{text}");
        }
        assert_eq!("0".parse::<Chapters>(), Err(ChaptersError::Zero));
        assert_eq!("0-4".parse::<Chapters>(), Err(ChaptersError::Zero));
        let backwards = "5-2".parse::<Chapters>().unwrap_err().to_string();
        assert!(backwards.ends_with("write 2-5"), "{backwards}");
    }

    #[test]
    fn chapters_that_the_book_does_not_have_are_named() {
        for (text, total, missing) in [("8", 7, 8), ("2-9", 7, 9), ("8-", 7, 8), ("2", 1, 2)] {
            let error = Part::of(&book(total), Some(chapters(text))).unwrap_err().to_string();
            assert!(error.ends_with(&format!("there is no chapter {missing}")), "{text}: {error}");
        }
    }

    #[test]
    fn a_part_is_a_book_of_its_own_without_a_cover() {
        let whole = book(7);
        let part = Part::of(&whole, Some(chapters("2-4"))).unwrap();
        let titles: Vec<_> = part.book().chapters.iter().map(|entry| entry.title).collect();
        assert_eq!(titles, ["The 2", "Chapter 3", "The 4"]);
        let metadata = &part.book().metadata;
        assert_eq!((metadata.title.as_str(), &metadata.cover), ("Novel", &None));
        assert_eq!(metadata.identifier, "chapters-2-4 of Novel");
        assert!(Arc::ptr_eq(Part::of(&whole, None).unwrap().book(), &whole));
        assert!(Part::of(&whole, None).unwrap().boundary().is_none());
    }

    #[test]
    fn only_links_out_of_the_part_are_taken_out() {
        let mut boundary = Part::of(&book(7), Some(chapters("2-3"))).unwrap().boundary().unwrap();
        assert!(!boundary.hides(&Event::ChapterStart { index: 0, title: "".into() }));
        for (target, hidden) in [
            ("#here", false),
            ("0002-x.md#a", false),
            ("../chapters/0003-x.md", false),
            ("0001-x.md", true),
            ("0004-x.md#b", true),
            ("https://example.org/0004-x.md", false),
            ("unknown.md", false),
        ] {
            let link = Tag::Link { target: target.into(), title: "".into() };
            assert_eq!(boundary.hides(&Event::Start(link)), hidden, "{target}");
            assert!(!boundary.hides(&Event::Text("words".into())));
            assert_eq!(boundary.hides(&Event::End(EndTag::Link)), hidden, "{target}");
        }
        assert_eq!(boundary.losses().iter().collect::<Vec<_>>(), [(loss::OUTSIDE, 2)]);
    }
}
