//! A project on storage; [`description`](super::description) has its layout. Both sides work on a store that is
//! already prefixed at the project's root and name nothing outside of it: each segment of each path is a
//! [`FileName`]. `reader` and `writer` are the sides; what a description must fulfil for both stands here. `growing` is a book that
//! is written chapter by chapter and read meanwhile, `edit` one chapter that takes another's place. `fence` keeps those who change a
//! project at once from writing over one another.

mod edit;
pub(crate) mod fence;
mod growing;
pub(crate) mod pieces;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use object_store::path::Path;
use presswork::{artifact::key, domain::FileName};

use super::{
    description::{Book, FORMAT, VERSION},
    error::BookError,
};

pub use edit::{Place, describe_book, put_chapter};
pub use fence::{Guard, Hand};
pub use growing::Growing;
pub(crate) use reader::Found;
pub use reader::ProjectReader;
pub use writer::{ProjectWriter, discard};

/// How many bytes a chapter's text has at most.
pub const MOST_CHAPTER_BYTES: usize = 4 << 20;

/// The media types that an asset may have.
pub const MEDIA_TYPES: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"];

const DESCRIPTION: &str = "book.json";

/// A path whose every segment is a checked name.
fn checked_path(file: &str) -> Result<Path, BookError> {
    let segments = file.split('/').map(str::parse::<FileName>).collect::<Result<Vec<_>, _>>();
    match segments {
        Ok(names) => Ok(key(names.iter().map(FileName::as_str))),
        Err(error) => Err(BookError::at(DESCRIPTION, format!("file {file:?}"), error.to_string())),
    }
}

/// Whether a description can be used.
fn check(book: &Book) -> Result<(), BookError> {
    let wrong = |problem: String| Err(BookError::input(DESCRIPTION, problem));
    if book.format != FORMAT {
        return wrong(format!("its format is {:?}, not {FORMAT:?}", book.format));
    }
    if book.version == 0 || book.version > VERSION {
        return wrong(format!(
            "its version is {}, this program reads up to {VERSION}: update Presswork",
            book.version
        ));
    }
    if book.chapters.is_empty() {
        return wrong("the book has no chapters".to_owned());
    }
    // Hashes alone: there may be tens of thousands of chapters. Two that are equal are looked at again.
    let (mut hashes, state) = (HashSet::new(), RandomState::new());
    for (place, chapter) in book.chapters.iter().enumerate() {
        checked_path(&chapter.file())?;
        let name = chapter.name().to_lowercase();
        let is_double =
            || book.chapters.iter().take(place).any(|before| before.name().to_lowercase() == name);
        if !hashes.insert(state.hash_one(&name)) && is_double() {
            return wrong(format!("two chapters have the file name {:?}", chapter.name()));
        }
    }
    let mut seen = HashSet::new();
    for asset in &book.assets {
        checked_path(&asset.file)?;
        if asset.name.parse::<FileName>().is_err() || !seen.insert(asset.name.to_lowercase()) {
            return wrong(format!("the picture name {:?} is not usable or used twice", asset.name));
        }
        if !MEDIA_TYPES.contains(&asset.media_type.as_str()) {
            return wrong(format!(
                "the picture {:?} has the unknown media type {:?}",
                asset.name, asset.media_type
            ));
        }
    }
    match &book.metadata.cover {
        Some(cover) if book.asset(cover).is_none() => {
            wrong(format!("the cover {cover:?} is none of its pictures"))
        }
        _ => Ok(()),
    }
}
