//! The list of a book's chapters. Owns: [`ChapterList`]. Must not know: storage, exporters.
//!
//! A book may have tens of thousands of chapters, and whoever writes it out holds the list from the first to the last byte:
//! all names and titles are one text, and the folder that they share is kept once.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
};

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
        ListedChapter::from(self).name
    }
}

/// The same as it stands in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedChapter<'a> {
    /// Ends with a slash, where there is one.
    folder: &'a str,
    name: &'a str,
    /// Its title, plain text.
    pub title: &'a str,
}

impl<'a> ListedChapter<'a> {
    /// The file's own name, by which links from other chapters find it: `0001-the-beginning.md`.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Its file, from the project's root: `r1/chapters/0001-the-beginning.md`.
    pub fn file(&self) -> String {
        [self.folder, self.name].concat()
    }

    /// The folder that its file is in, without a slash at the end; `None` where it is in the root.
    pub fn folder(&self) -> Option<&'a str> {
        self.folder.strip_suffix('/')
    }

    /// The first folder on the way to its file: that of the book's revision.
    pub fn revision(&self) -> Option<&'a str> {
        self.folder.split_once('/').map(|(revision, _)| revision)
    }

    /// The same for itself.
    pub fn entry(&self) -> ChapterEntry {
        ChapterEntry { file: self.file(), title: self.title.to_owned() }
    }
}

impl<'a> From<&'a ChapterEntry> for ListedChapter<'a> {
    fn from(entry: &'a ChapterEntry) -> Self {
        let (folder, name) = folder_and_name(&entry.file);
        Self { folder, name, title: &entry.title }
    }
}

/// A file's folder, with the slash at its end, and its name.
fn folder_and_name(file: &str) -> (&str, &str) {
    file.split_at(file.rfind('/').map_or(0, |slash| slash + 1))
}

/// Chapters in reading order. As JSON a list of `{"file": "r1/chapters/0001-the-beginning.md", "title": "The Beginning"}`.
#[derive(Clone, Default)]
pub struct ChapterList {
    /// Those that chapters lie in, each once as long as its chapters stand beside each other.
    folders: Vec<String>,
    /// Name and title of each.
    text: String,
    places: Vec<Place>,
}

/// Where a chapter is in the text; it begins where the one before ends.
#[derive(Clone, Copy)]
struct Place {
    folder: usize,
    name_ends: usize,
    title_ends: usize,
}

impl ChapterList {
    /// Adds a chapter by its file, from the project's root, and its title.
    pub fn push(&mut self, file: &str, title: &str) {
        let (folder, name) = folder_and_name(file);
        if self.folders.last().is_none_or(|last| last != folder) {
            self.folders.push(folder.to_owned());
        }
        self.text.push_str(name);
        let name_ends = self.text.len();
        self.text.push_str(title);
        self.places.push(Place { folder: self.folders.len() - 1, name_ends, title_ends: self.text.len() });
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
        let Place { folder, name_ends, title_ends } = *self.places.get(index)?;
        let begins = index
            .checked_sub(1)
            .and_then(|before| self.places.get(before))
            .map_or(0, |before| before.title_ends);
        Some(ListedChapter {
            folder: self.folders.get(folder)?,
            name: self.text.get(begins..name_ends)?,
            title: self.text.get(name_ends..title_ends)?,
        })
    }

    /// The name of the file of the chapter at a place; empty where there is none.
    pub fn name(&self, index: usize) -> &str {
        self.get(index).map_or("", |entry| entry.name)
    }

    /// All of them, each for itself: for books that are not large.
    pub fn to_vec(&self) -> Vec<ChapterEntry> {
        self.iter().map(|chapter| chapter.entry()).collect()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = ListedChapter<'_>> + ExactSizeIterator {
        (0..self.len())
            .map(|index| self.get(index).unwrap_or(ListedChapter { folder: "", name: "", title: "" }))
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
        chapters
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
                Ok(chapters)
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
        assert_eq!(chapters.to_vec().into_iter().collect::<ChapterList>(), chapters);
        for (entry, (file, title)) in chapters.iter().zip(pushed) {
            assert_eq!((entry.file().as_str(), entry.title), (file, title));
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
    fn chapters_of_one_folder_name_it_once() {
        let chapters: ChapterList =
            (0..1_000).map(|n| entry(&format!("a-long-revision-name/chapters/{n}.md"), "T")).collect();
        assert_eq!(chapters.folders.len(), 1);
        assert!(chapters.text.len() < 8_000, "{}", chapters.text.len());
    }
}
