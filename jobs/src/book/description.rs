//! `book.json`: what a project says of its book. It names every chapter file and picture; what it does not name is
//! not part of the book. It is written last, in one step, so that a reader sees a whole book or the one before.
//!
//! On storage, below `<tenant>/projects/<project>/`:
//! ```text
//! book.json
//! <revision>/chapters/0001-the-beginning.md      one Markdown file a chapter, `# Title` first
//! <revision>/images/cover.png                    referred to as ../images/cover.png
//! ```

use serde::{Deserialize, Serialize};

use super::chapter_list::{ChapterList, ListedChapter};

/// The file's `format`.
pub const FORMAT: &str = "presswork-book";
/// The newest `version` that this program reads and the one that it writes.
pub const VERSION: u32 = 1;

/// A book: its metadata, its chapters in order and its pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// Always [`FORMAT`].
    pub format: String,
    /// See [`VERSION`].
    pub version: u32,
    /// What a title page says.
    pub metadata: Metadata,
    /// In reading order.
    pub chapters: ChapterList,
    /// By name.
    #[serde(default)]
    pub assets: Vec<Asset>,
    /// The job that is still writing it; nobody where it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growing: Option<String>,
    /// Which jobs have put a chapter into it, the last ones: one that crashed behind that knows it again, whatever has become of
    /// the chapter since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placed: Vec<Placed>,
}

/// A chapter that a job has put into a book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The job's id.
    pub by: String,
    /// The chapter's file name, which it keeps when it is written anew.
    pub name: String,
}

/// So many jobs are remembered.
const MOST_PLACED: usize = 100;

/// What a title page says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The title; never empty once imported.
    pub title: String,
    /// A second line under it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subtitle: String,
    /// Who wrote it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// BCP 47, for example `en` or `de-AT`; `und` where nobody knows.
    pub language: String,
    /// A stable identifier: ISBN, UUID or URL.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identifier: String,
    /// A blurb.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// As written: a year or an ISO date.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// Who published it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub publisher: String,
    /// The licence or copyright line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rights: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// The name of the asset that is the cover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cover: Option<String>,
}

impl Metadata {
    /// The last lines of a title page, of which some may be empty: who published the book, when, and its rights.
    pub fn imprint(&self) -> [&str; 3] {
        [&self.publisher, self.shown_date(), &self.rights]
    }

    /// The date as a title page has it: the day of what is a moment to the second, as programs write it.
    pub fn shown_date(&self) -> &str {
        let is_day =
            |day: &str| day.len() == 10 && day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        match self.date.trim().split_once('T') {
            Some((day, time)) if is_day(day) && time.starts_with(|c: char| c.is_ascii_digit()) => day,
            _ => &self.date,
        }
    }
}

/// A picture of a book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Unique in the book, by which images refer to it: `cover.png`.
    pub name: String,
    /// Its file, from the project's root.
    pub file: String,
    /// `image/png`, `image/jpeg`, `image/gif`, `image/webp` or `image/svg+xml`.
    pub media_type: String,
    /// Its size.
    pub bytes: u64,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkTarget<'a> {
    /// Out of the book: an `http`, `https`, `mailto`, `tel` or `doi` URL.
    External(&'a str),
    /// To a chapter, or a place in it.
    Chapter {
        /// Its index.
        index: usize,
        /// The anchor in it, without `#`; empty for its beginning.
        anchor: &'a str,
    },
    /// Nowhere that a reader may be sent: unknown chapters, `javascript:`, `file:`, relative paths.
    Nowhere,
}

impl Book {
    /// A book without chapters.
    pub fn new(metadata: Metadata) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            metadata,
            chapters: ChapterList::default(),
            assets: Vec::new(),
            growing: None,
            placed: Vec::new(),
        }
    }

    /// The chapter that a job has put into it, where it is there still.
    pub fn placed_by(&self, job: &str) -> Option<usize> {
        let folder = format!("{job}-");
        let noted = self.placed.iter().rev().find(|placed| placed.by == job);
        let is_its = |chapter: ListedChapter<'_>| match noted {
            Some(placed) => chapter.name() == placed.name,
            // Versions before this one noted nothing.
            None => chapter.revision().is_some_and(|revision| revision.starts_with(&folder)),
        };
        self.chapters.iter().position(is_its)
    }

    /// Notes which chapter a job has put into it.
    pub(super) fn note(&mut self, job: &str, name: &str) {
        self.placed.retain(|placed| placed.by != job);
        self.placed.push(Placed { by: job.to_owned(), name: name.to_owned() });
        let many = self.placed.len().saturating_sub(MOST_PLACED);
        self.placed.drain(..many);
    }

    /// Where a link in chapter `from` leads; `chapter` finds a chapter's index by its file's name.
    pub fn link(chapter: impl FnOnce(&str) -> Option<usize>, from: usize, target: &str) -> LinkTarget<'_> {
        const SCHEMES: [&str; 5] = ["http", "https", "mailto", "tel", "doi"];
        if let Some(anchor) = target.strip_prefix('#') {
            return LinkTarget::Chapter { index: from, anchor };
        }
        // A scheme is what RFC 3986 §3.1 says: a colon before any slash, question mark or number sign.
        let scheme = target.split(['/', '?', '#']).next().and_then(|head| head.split_once(':'));
        if let Some((scheme, _)) = scheme {
            let known = SCHEMES.contains(&scheme.to_ascii_lowercase().as_str());
            return if known { LinkTarget::External(target) } else { LinkTarget::Nowhere };
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let name = file.rsplit('/').next().unwrap_or_default();
        chapter(name).map_or(LinkTarget::Nowhere, |index| LinkTarget::Chapter { index, anchor })
    }

    /// The asset with this name.
    pub fn asset(&self, name: &str) -> Option<&Asset> {
        self.assets.iter().find(|asset| asset.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_out_to_a_chapter_or_nowhere() {
        let mut book = Book::new(Metadata::default());
        for file in ["r1/chapters/0001-a.md", "r1/chapters/0002-b.md"] {
            book.chapters.push(file, "");
        }
        let link = |target| Book::link(|name| book.chapters.iter().position(|c| c.name() == name), 0, target);
        assert_eq!(link("https://example.org/a#b"), LinkTarget::External("https://example.org/a#b"));
        assert_eq!(link("#x"), LinkTarget::Chapter { index: 0, anchor: "x" });
        assert_eq!(link("0002-b.md#y"), LinkTarget::Chapter { index: 1, anchor: "y" });
        for nowhere in
            ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "../../x.md", "JavaScript:x"]
        {
            assert_eq!(link(nowhere), LinkTarget::Nowhere, "{nowhere}");
        }
    }
}
