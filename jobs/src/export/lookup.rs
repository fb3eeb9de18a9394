//! What a book has, by name: links and pictures are looked up here. Built once for an export and shared.

use std::{collections::BTreeMap, sync::Arc};

use super::{loss, url};
use crate::{
    book::{Asset, Book, LinkTarget},
    scratch::Scratch,
};

/// A book with indexes over its names.
#[derive(Debug)]
pub(super) struct Lookup {
    book: Arc<Book>,
    /// Chapters by their files' names, where these are not the usual ones: four bytes each, as there may be tens of thousands.
    chapters: Vec<u32>,
    assets: BTreeMap<Box<str>, usize>,
    scratch: Scratch,
}

/// What an image's source names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Picture<'a> {
    /// An asset of the book, with its index.
    Asset(usize, &'a Asset),
    /// A URL on the web.
    Remote,
    /// Nothing that can be had.
    Missing,
}

impl Lookup {
    /// Indexes `book`. Where names are double, the first one counts.
    pub(super) fn new(book: Arc<Book>) -> Self {
        let mut chapters: Vec<u32> =
            book.chapters.of_written_names().filter_map(|index| u32::try_from(index).ok()).collect();
        // Stable: of double names the first stays in front.
        chapters.sort_by_key(|index| book.chapters.name(*index as usize));
        let mut assets = BTreeMap::new();
        for (index, asset) in book.assets.iter().enumerate() {
            assets.entry(Box::from(asset.name.as_str())).or_insert(index);
        }
        Self { book, chapters, assets, scratch: Scratch::default() }
    }

    /// The same, with a place to put things aside.
    pub(super) fn with_scratch(self, scratch: Scratch) -> Self {
        Self { scratch, ..self }
    }

    /// Where things can be put aside.
    pub(super) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The book itself.
    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    /// Where a link in chapter `from` leads.
    pub(super) fn link<'a>(&self, from: usize, target: &'a str) -> LinkTarget<'a> {
        Book::link(|name| self.chapter(name), from, target)
    }

    /// What is lost with a link that a format with a longest address makes none of.
    pub(super) fn lost_link(&self, from: usize, target: &str) -> &'static str {
        match self.link(from, target) {
            LinkTarget::External(target) if url::valid(target).is_some() => loss::LONG_LINK,
            _ => loss::LINK,
        }
    }

    /// The chapter whose file has this name.
    fn chapter(&self, name: &str) -> Option<usize> {
        let name_of = |index: &u32| self.book.chapters.name(*index as usize);
        let place = self.chapters.partition_point(|index| *name_of(index) < *name);
        let written = self.chapters.get(place).filter(|index| name_of(index) == name);
        written.map(|index| *index as usize).into_iter().chain(self.book.chapters.with_usual_name(name)).min()
    }

    /// What an image's source names.
    pub(super) fn picture(&self, source: &str) -> Picture<'_> {
        if let Some(index) = self.assets.get(source) {
            return Picture::Asset(*index, &self.book.assets[*index]);
        }
        let scheme = source.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if matches!(scheme.as_deref(), Some("http" | "https")) { Picture::Remote } else { Picture::Missing }
    }

    /// A chapter's title for tables of contents; never empty.
    pub(super) fn chapter_title(&self, index: usize) -> String {
        match self.book.chapters.get(index).map(|chapter| chapter.title.trim()) {
            Some(title) if !title.is_empty() => title.to_owned(),
            _ => format!("Chapter {}", index + 1),
        }
    }

    /// The book's title; never empty.
    pub(super) fn title(&self) -> &str {
        let title = self.book.metadata.title.trim();
        if title.is_empty() { "Untitled" } else { title }
    }

    /// The cover's asset, with its index.
    pub(super) fn cover(&self) -> Option<(usize, &Asset)> {
        match self.picture(self.book.metadata.cover.as_deref()?) {
            Picture::Asset(index, asset) => Some((index, asset)),
            Picture::Remote | Picture::Missing => None,
        }
    }
}
