//! The list of a book's chapters. Owns: [`ChapterList`]. Must not know: storage, exporters.
//!
//! A book may have tens of thousands of chapters, and whoever writes it out holds the list from the first to the last byte:
//! all titles are one text, the folder that files share is kept once, and a file's name only where it does not follow from
//! place and title.

mod replace;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
};

use super::names::chapter_name;

/// A chapter of a book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChapterEntry {
    /// Its file, from the project's root: `r1/chapters/0001-the-beginning.md`.
    pub file: String,
    /// Its title, plain text.
    pub title: String,
}

impl ChapterEntry {
    /// The file's own name, by which links from other chapters find it: `0001-the-beginning.md`.
    pub fn name(&self) -> &str {
        folder_and_name(&self.file).1
    }
}

/// The same as it stands in a list.
#[derive(Clone, Copy)]
pub struct ListedChapter<'a> {
    /// Ends with a slash, where there is one.
    folder: &'a str,
    name: Name<'a>,
    /// Its title, plain text.
    pub title: &'a str,
}

/// A file's name: as it is written, or as [`chapter_name`] makes it of this place.
#[derive(Clone, Copy)]
enum Name<'a> {
    Written(&'a str),
    Usual(usize),
}

impl<'a> ListedChapter<'a> {
    /// The file's own name, by which links from other chapters find it: `0001-the-beginning.md`.
    pub fn name(&self) -> Cow<'a, str> {
        match self.name {
            Name::Written(name) => Cow::Borrowed(name),
            Name::Usual(index) => Cow::Owned(chapter_name(index, self.title)),
        }
    }

    /// Its file, from the project's root: `r1/chapters/0001-the-beginning.md`.
    pub fn file(&self) -> String {
        [self.folder, &self.name()].concat()
    }

    /// The folder that its file is in, without a slash at the end; `None` where it is in the root.
    pub fn folder(&self) -> Option<&'a str> {
        self.folder.strip_suffix('/')
    }

    /// The first folder on the way to its file: that of the book's revision.
    pub fn revision(&self) -> Option<&'a str> {
        self.folder.split_once('/').map(|(revision, _)| revision)
    }

    /// Whether this is its file.
    pub fn is_in(&self, file: &str) -> bool {
        file.strip_prefix(self.folder).is_some_and(|name| self.name() == name)
    }

    /// The same for itself.
    pub fn entry(&self) -> ChapterEntry {
        ChapterEntry { file: self.file(), title: self.title.to_owned() }
    }
}

impl<'a> From<&'a ChapterEntry> for ListedChapter<'a> {
    fn from(entry: &'a ChapterEntry) -> Self {
        let (folder, name) = folder_and_name(&entry.file);
        Self { folder, name: Name::Written(name), title: &entry.title }
    }
}

impl PartialEq for ListedChapter<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.folder, self.title) == (other.folder, other.title) && self.name() == other.name()
    }
}

impl Eq for ListedChapter<'_> {}

impl fmt::Debug for ListedChapter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListedChapter").field("file", &self.file()).field("title", &self.title).finish()
    }
}

/// A file's folder, with the slash at its end, and its name.
fn folder_and_name(file: &str) -> (&str, &str) {
    file.split_at(file.rfind('/').map_or(0, |slash| slash + 1))
}

/// Chapters in reading order. As JSON a list of `{"file": "r1/chapters/0001-the-beginning.md", "title": "The Beginning"}`.
#[derive(Clone, Default)]
pub struct ChapterList {
    /// Those that chapters lie in, each with the first of a row of chapters that do.
    folders: Vec<(usize, String)>,
    /// Name, unless it is the usual one, and title of each.
    text: String,
    places: Vec<Place>,
}

/// Where a chapter is in the text; it begins where the one before ends. A list has no more than `book.json` may have, 64 MiB.
#[derive(Clone, Copy)]
struct Place {
    name_ends: u32,
    title_ends: u32,
    has_usual_name: bool,
}

impl ChapterList {
    /// Adds a chapter by its file, from the project's root, and its title.
    pub fn push(&mut self, file: &str, title: &str) {
        let (folder, name) = folder_and_name(file);
        let index = self.places.len();
        if self.folders.last().is_none_or(|(_, last)| last != folder) {
            self.folders.push((index, folder.to_owned()));
        }
        let has_usual_name = name == chapter_name(index, title);
        if !has_usual_name {
            self.text.push_str(name);
        }
        let name_ends = self.end();
        self.text.push_str(title);
        self.places.push(Place { name_ends, title_ends: self.end(), has_usual_name });
    }

    fn end(&self) -> u32 {
        u32::try_from(self.text.len()).unwrap_or(u32::MAX)
    }

    /// Gives back the room that was held for more chapters.
    fn complete(mut self) -> Self {
        self.folders.shrink_to_fit();
        self.text.shrink_to_fit();
        self.places.shrink_to_fit();
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The chapter at a place, from 0.
    pub fn get(&self, index: usize) -> Option<ListedChapter<'_>> {
        let Place { name_ends, title_ends, has_usual_name } = *self.places.get(index)?;
        let begins = index
            .checked_sub(1)
            .and_then(|before| self.places.get(before))
            .map_or(0, |before| before.title_ends);
        let text = |from: u32, to: u32| self.text.get(from as usize..to as usize);
        let name = if has_usual_name { Name::Usual(index) } else { Name::Written(text(begins, name_ends)?) };
        let row = self.folders.partition_point(|(first, _)| *first <= index).checked_sub(1)?;
        Some(ListedChapter { folder: &self.folders.get(row)?.1, name, title: text(name_ends, title_ends)? })
    }

    /// The name of the file of the chapter at a place; empty where there is none.
    pub fn name(&self, index: usize) -> Cow<'_, str> {
        self.get(index).map_or(Cow::Borrowed(""), |entry| entry.name())
    }

    /// The first chapter whose file has this name, where that is the usual one of its place: found without a look at others.
    pub fn with_usual_name(&self, name: &str) -> Option<usize> {
        let digits = name.split('-').next()?;
        let index = digits.parse::<usize>().ok()?.checked_sub(1)?;
        (self.places.get(index)?.has_usual_name && self.name(index) == name).then_some(index)
    }

    /// The chapters whose files have other names than the usual ones.
    pub fn of_written_names(&self) -> impl Iterator<Item = usize> {
        let other = |(index, place): (usize, &Place)| (!place.has_usual_name).then_some(index);
        self.places.iter().enumerate().filter_map(other)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = ListedChapter<'_>> + ExactSizeIterator {
        (0..self.len()).map(|index| {
            self.get(index).unwrap_or(ListedChapter { folder: "", name: Name::Written(""), title: "" })
        })
    }
}

impl PartialEq for ChapterList {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for ChapterList {}

impl fmt::Debug for ChapterList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<ChapterEntry> for ChapterList {
    fn from_iter<T: IntoIterator<Item = ChapterEntry>>(entries: T) -> Self {
        let mut chapters = Self::default();
        for ChapterEntry { file, title } in entries {
            chapters.push(&file, &title);
        }
        chapters.complete()
    }
}

impl Serialize for ChapterList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|chapter| chapter.entry()))
    }
}

impl<'de> Deserialize<'de> for ChapterList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = ChapterList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of chapters, each with file and title")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ChapterList, A::Error> {
                let mut chapters = ChapterList::default();
                while let Some(ChapterEntry { file, title }) = list.next_element()? {
                    chapters.push(&file, &title);
                }
                Ok(chapters.complete())
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(file: &str, title: &str) -> ChapterEntry {
        ChapterEntry { file: file.to_owned(), title: title.to_owned() }
    }

    #[test]
    fn every_file_and_title_comes_back_as_it_was_pushed() {
        let pushed = [
            ("r1/chapters/0001-a.md", "A"),
            ("r1/chapters/0002-b.md", ""),
            ("r2/chapters/0001-a.md", "Ä b"),
            ("root.md", "C"),
            ("/odd.md", "D"),
            ("r1/chapters/", "E"),
            ("", ""),
        ];
        let chapters: ChapterList = pushed.into_iter().map(|(file, title)| entry(file, title)).collect();
        assert_eq!(chapters.len(), pushed.len());
        assert_eq!(chapters.iter().map(|chapter| chapter.entry()).collect::<ChapterList>(), chapters);
        for (entry, (file, title)) in chapters.iter().zip(pushed) {
            assert_eq!((entry.file().as_str(), entry.title), (file, title));
            assert!(entry.is_in(file) && !entry.is_in("r1/chapters/0009-a.md"));
            assert_eq!(entry.name(), file.rsplit('/').next().unwrap_or_default());
            assert_eq!(entry.folder(), file.rsplit_once('/').map(|(folder, _)| folder));
            assert_eq!(entry.revision(), file.split_once('/').map(|(revision, _)| revision));
        }
        assert_eq!(chapters.get(pushed.len()), None);
        let json = serde_json::to_string(&chapters).unwrap();
        assert!(json.starts_with(r#"[{"file":"r1/chapters/0001-a.md","title":"A"},"#), "{json}");
        assert_eq!(serde_json::from_str::<ChapterList>(&json).unwrap(), chapters);
        assert!(serde_json::from_str::<ChapterList>(r#"[{"file":"a.md"}]"#).is_err());
    }

    #[test]
    fn chapters_of_one_folder_name_it_once_and_usual_names_not_at_all() {
        let file = |n: usize| format!("a-long-revision-name/chapters/{}", chapter_name(n, "The End"));
        let chapters: ChapterList = (0..1_000).map(|n| entry(&file(n), "The End")).collect();
        assert_eq!((chapters.folders.len(), chapters.text.len()), (1, 7_000));
        assert_eq!(chapters.get(999).unwrap().file(), file(999));
        assert_eq!(chapters.of_written_names().next(), None);
    }

    #[test]
    fn a_usual_name_is_found_where_it_belongs_and_nowhere_else() {
        let files = ["c/0001-a.md", "c/0002-other.md", "d/0004-c.md", "d/0004-d.md", "d/5-e.md", "d/-.md"];
        let titles = ["A", "B", "C", "D", "E", "F"];
        let chapters: ChapterList =
            files.iter().zip(titles).map(|(file, title)| entry(file, title)).collect();
        assert_eq!(chapters.of_written_names().collect::<Vec<_>>(), [1, 2, 4, 5]);
        assert_eq!(chapters.with_usual_name("0001-a.md"), Some(0));
        assert_eq!(chapters.with_usual_name("0004-d.md"), Some(3));
        for name in [
            "0002-other.md",
            "0004-c.md",
            "5-e.md",
            "-.md",
            "0000-a.md",
            "1-a.md",
            "",
            "99999999999999999999-a.md",
        ] {
            assert_eq!(chapters.with_usual_name(name), None, "{name}");
        }
        for (index, file) in files.iter().enumerate() {
            assert_eq!(chapters.get(index).unwrap().file(), *file);
        }
    }
}
