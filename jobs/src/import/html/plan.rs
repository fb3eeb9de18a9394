//! Where an HTML book's chapters begin, and where its links lead.

use std::collections::HashMap;

use super::{headings::Heading, survey::Survey};
use crate::{
    book::markdown::percent_decode,
    import::{ChapterMark, chapters::file_name, epub::xhtml::Surroundings, markdown::resolve::beside},
};

/// What one file is in the book.
#[derive(Debug)]
pub(super) struct Planned {
    /// Headings of this level are the chapters' titles; 0 where none are.
    pub(super) level: u8,
    /// Whether the first heading is the book's title.
    pub(super) skips_first: bool,
    /// The headings at which chapters begin.
    pub(super) begins: Vec<usize>,
    /// Whether there is a chapter before those.
    pub(super) has_front: bool,
    /// The index of its first chapter.
    pub(super) first: usize,
}

impl Planned {
    /// Decides where chapters begin: as is said, else at the topmost headings that are several; one alone at the beginning is the
    /// book's title.
    pub(super) fn of(survey: &Survey, marks: &[ChapterMark], in_folder: bool, first: usize) -> Self {
        let headings = &survey.headings;
        let (level, skips_first) = level(survey, in_folder);
        let begins: Vec<usize> = match marks {
            [] => numbers(headings, skips_first, |heading| heading.level <= level),
            marks => numbers(headings, survey.title_header.is_some(), |heading| {
                marks.iter().any(|mark| mark.is_heading(heading.level, &heading.text))
            }),
        };
        let skips_first = skips_first && begins.first() != Some(&0);
        let level = match marks {
            [] => level,
            _ => begins.iter().map(|begin| headings[*begin].level).max().unwrap_or(0),
        };
        let until = begins.first().copied().unwrap_or(headings.len());
        let mut before = headings[..until].iter().enumerate();
        let has_more = before.any(|(place, heading)| heading.has_text || place > 0 || !skips_first);
        let has_front = survey.has_front || has_more || begins.is_empty();
        Self { level, skips_first, begins, has_front, first }
    }

    /// How many chapters it has.
    pub(super) fn chapters(&self) -> usize {
        self.begins.len() + usize::from(self.has_front)
    }

    /// The chapter in which the so-manieth heading stands, counted from 1; 0 for what stands before all.
    fn chapter_of(&self, heading: usize) -> usize {
        let begun = self.begins.partition_point(|begin| *begin < heading);
        self.first + (begun + usize::from(self.has_front)).saturating_sub(1)
    }
}

fn numbers(headings: &[Heading], skips: bool, begins: impl Fn(&Heading) -> bool) -> Vec<usize> {
    let all = headings.iter().enumerate().skip(usize::from(skips));
    all.filter(|(_, heading)| heading.is_free && begins(heading)).map(|(place, _)| place).collect()
}

fn level(survey: &Survey, in_folder: bool) -> (u8, bool) {
    let free = || survey.headings.iter().filter(|heading| heading.is_free);
    let topmost = |skip: usize| free().skip(skip).map(|heading| heading.level).min().unwrap_or(0);
    if survey.title_header.is_some() {
        return (topmost(1), true);
    }
    let Some(first) = free().next() else { return (0, false) };
    let is_alone = free().filter(|heading| heading.level <= first.level).count() == 1;
    let many = free().filter(|heading| heading.level == topmost(1)).count() > 1;
    let is_title = is_alone && many && !in_folder && !survey.has_front && survey.headings[0].is_free;
    if is_title { (topmost(1), true) } else { (topmost(0), false) }
}

/// The files of a book: their names, what they are, where links to them lead.
pub(super) struct Book<'a> {
    pub(super) files: Vec<(String, &'a Planned, &'a Survey)>,
    pub(super) by_name: HashMap<String, usize>,
    /// The chapters' files.
    pub(super) names: Vec<String>,
}

impl<'a> Book<'a> {
    pub(super) fn new(
        files: Vec<(String, &'a Planned, &'a Survey)>,
        titles: impl Fn(usize, usize) -> String,
    ) -> Self {
        let by_name =
            files.iter().enumerate().map(|(place, (name, ..))| (name.to_lowercase(), place)).collect();
        let mut names = Vec::new();
        for (place, (_, planned, _)) in files.iter().enumerate() {
            for chapter in 0..planned.chapters() {
                names.push(file_name(names.len(), &titles(place, chapter)));
            }
        }
        Self { files, by_name, names }
    }
}

/// Where links of a chapter lead.
pub(super) struct Links<'a> {
    pub(super) book: &'a Book<'a>,
    pub(super) file: usize,
    pub(super) chapter: usize,
}

impl Surroundings for Links<'_> {
    fn link(&mut self, href: &str) -> Option<String> {
        let href = href.trim();
        let scheme = href.split(['/', '?', '#']).next().and_then(|head| head.split_once(':'));
        if let Some((scheme, _)) = scheme {
            let known = ["http", "https", "mailto", "tel", "doi"];
            return known.contains(&scheme.to_ascii_lowercase().as_str()).then(|| href.to_owned());
        }
        let (path, id) = href.split_once('#').unwrap_or((href, ""));
        let file = match path.is_empty() {
            true => self.file,
            false => *self.book.by_name.get(&beside(&self.book.files[self.file].0, path)?.to_lowercase())?,
        };
        let (_, planned, survey) = &self.book.files[file];
        let id = percent_decode(id).into_owned();
        let (heading, is_anchor) = match survey.places.get(&id) {
            Some(place) => place,
            None if id.is_empty() => (0, false),
            None => return None,
        };
        let chapter = match id.is_empty() {
            true => planned.first,
            false => planned.chapter_of(heading),
        };
        let name = self.book.names.get(chapter)?;
        let is_title = heading > 0 && planned.begins.binary_search(&(heading - 1)).is_ok();
        let anchor = survey.headings.get(heading.wrapping_sub(1)).and_then(|heading| heading.anchor.as_ref());
        match anchor.filter(|_| is_anchor && !is_title) {
            Some(anchor) if chapter == self.chapter => Some(format!("#{anchor}")),
            Some(anchor) => Some(format!("{name}#{anchor}")),
            // Other places than headings have no name in a book: the chapter is as near as a link can lead.
            None => Some(name.clone()),
        }
    }
}
