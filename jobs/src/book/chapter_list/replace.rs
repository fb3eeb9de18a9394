//! One chapter of a list in the place of another one, without a copy of the list.

use super::{ChapterList, Place, folder_and_name};
use crate::book::names::chapter_name;

impl ChapterList {
    /// Puts a chapter in another one's place; where there is none, nothing happens. The others stay where they are in memory, but
    /// for a shift of their text.
    pub fn replace(&mut self, index: usize, file: &str, title: &str) {
        let Some(Place { title_ends: ends, .. }) = self.places.get(index).copied() else { return };
        let before = index.checked_sub(1).and_then(|before| self.places.get(before));
        let begins = before.map_or(0, |before| before.title_ends);
        let (folder, name) = folder_and_name(file);
        let has_usual_name = name == chapter_name(index, title);
        let name = if has_usual_name { "" } else { name };
        self.text.replace_range(begins as usize..ends as usize, &[name, title].concat());
        let after =
            |bytes: &str, from: u32| from.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let name_ends = after(name, begins);
        let title_ends = after(title, name_ends);
        for (place, later) in self.places.iter_mut().enumerate().skip(index) {
            *later = if place == index {
                Place { name_ends, title_ends, has_usual_name }
            } else {
                let moved = |end: u32| (end - ends).saturating_add(title_ends);
                Place { name_ends: moved(later.name_ends), title_ends: moved(later.title_ends), ..*later }
            };
        }
        self.move_to_folder(index, folder);
    }

    /// Has the chapter at a place, which there is, lie in a folder.
    fn move_to_folder(&mut self, index: usize, folder: &str) {
        let behind = self.folders.partition_point(|(first, _)| *first <= index);
        let Some((row, (first, old))) =
            behind.checked_sub(1).and_then(|row| Some((row, self.folders.get(row)?)))
        else {
            return;
        };
        if old == folder {
            return;
        }
        let (first, old) = (*first, old.clone());
        let next = self.folders.get(behind).map_or(self.places.len(), |(next, _)| *next);
        let mut rows = vec![(index, folder.to_owned())];
        if first < index {
            rows.insert(0, (first, old.clone()));
        }
        if index + 1 < next {
            rows.push((index + 1, old));
        }
        self.folders.splice(row..behind, rows);
        // Neighbours in the same folder are one row.
        self.folders.dedup_by(|later, before| later.1 == before.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::chapter_list::ChapterEntry;

    fn entry(file: &str, title: &str) -> ChapterEntry {
        ChapterEntry { file: file.to_owned(), title: title.to_owned() }
    }

    #[test]
    fn a_chapter_takes_anothers_place_and_the_others_are_as_they_were() {
        let entries = || {
            let folders = ["a/", "a/", "b/", "", "a/", "b/"];
            let titles = ["A", "", "Ü b", "D", "E E", "F"];
            let entry_at = |(index, (folder, title)): (usize, (&&str, &&str))| {
                let name = if index % 3 == 1 { "odd.md".to_owned() } else { chapter_name(index, title) };
                entry(&format!("{folder}{name}"), title)
            };
            folders.iter().zip(&titles).enumerate().map(entry_at).collect::<Vec<_>>()
        };
        for index in 0..6 {
            for folder in ["a/", "b/", "", "c/d/"] {
                for (name, title) in [("x.md", "A longer title than before"), ("", ""), ("y.md", "Ö")] {
                    let usual = chapter_name(index, title);
                    let file = format!("{folder}{}", if name.is_empty() { &usual } else { name });
                    let (mut wanted, mut chapters) =
                        (entries(), entries().into_iter().collect::<ChapterList>());
                    chapters.replace(index, &file, title);
                    wanted[index] = entry(&file, title);
                    let wanted: ChapterList = wanted.into_iter().collect();
                    assert_eq!(chapters, wanted, "{index} {file}");
                    assert_eq!(
                        (&chapters.folders, &chapters.text),
                        (&wanted.folders, &wanted.text),
                        "{index} {file}"
                    );
                }
            }
        }
        let mut chapters: ChapterList = entries().into_iter().collect();
        let (text, places) = (chapters.text.as_ptr(), chapters.places.as_ptr());
        chapters.replace(2, "b/0003-c.md", "C");
        assert_eq!((chapters.text.as_ptr(), chapters.places.as_ptr()), (text, places), "nothing is copied");
        chapters.replace(6, "b/x.md", "nowhere");
        assert_eq!(chapters.len(), 6);
    }
}
