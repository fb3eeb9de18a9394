//! Pictures as the file's image objects: each is written once, when it is first shown, piece by piece. JPEGs go in as
//! they are; PNGs too, where they have no transparency. What is broken or can't be shown is the caller's loss.

use std::io::{self, Read, Write};

use pdf_writer::Ref;

use super::objects::Objects;
use crate::{
    book::{Asset, BookError},
    export::AssetSource,
};

mod exif;
mod jpeg;
mod png;
#[cfg(test)]
mod tests;

/// Pictures up to this size are held while they are looked at; larger ones are fetched twice.
const MOST_HELD_BYTES: u64 = 4 << 20;
/// Pixels of a side, and of the whole: more than any paper shows.
const MOST_SIDE: u32 = 32_000;
const MOST_PIXELS: u64 = 400_000_000;

/// A picture in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    id: Ref,
    width: u32,
    height: u32,
}

impl Picture {
    /// The object's number.
    pub(super) fn id(self) -> Ref {
        self.id
    }

    /// Its size in pixels.
    #[expect(clippy::cast_precision_loss, reason = "sides are short")]
    pub(super) fn size(self) -> (f32, f32) {
        (self.width as f32, self.height as f32)
    }
}

/// The pictures that were asked for so far.
#[derive(Debug)]
pub(super) struct Pictures {
    /// By asset: whether it was asked for, and what it is.
    known: Vec<Option<Option<Picture>>>,
}

/// Where a picture's bytes come from: held, or fetched anew each time.
pub(super) struct Source<'a> {
    asset: &'a Asset,
    assets: &'a mut dyn AssetSource,
    held: Option<Vec<u8>>,
}

impl Source<'_> {
    /// From the beginning.
    fn open(&mut self) -> Result<Box<dyn Read + '_>, BookError> {
        match &self.held {
            Some(held) => Ok(Box::new(held.as_slice())),
            None => self.assets.open(self.asset),
        }
    }
}

/// Why a picture is not in the file.
#[derive(Debug)]
enum Refusal {
    /// It is broken, or of a sort that can't be shown.
    Unfit,
    /// Something else went wrong.
    Failed(BookError),
}

impl From<io::Error> for Refusal {
    /// Decoders pass on what their source says; what is wrong with the picture itself is of other kinds.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Unfit
            }
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<BookError> for Refusal {
    fn from(error: BookError) -> Self {
        Self::Failed(error)
    }
}

impl Pictures {
    /// For so many assets.
    pub(super) fn new(assets: usize) -> Self {
        Self { known: vec![None; assets] }
    }

    /// The picture, written to the file now if it is new; `None` where it can't be shown.
    pub(super) fn get(
        &mut self,
        index: usize,
        asset: &Asset,
        assets: &mut dyn AssetSource,
        objects: &mut Objects,
        out: &mut dyn Write,
    ) -> Result<Option<Picture>, BookError> {
        if let Some(Some(known)) = self.known.get(index) {
            return Ok(*known);
        }
        let mut held = None;
        if asset.bytes <= MOST_HELD_BYTES {
            let mut bytes = Vec::new();
            let mut source = assets.open(asset)?.take(MOST_HELD_BYTES + 1);
            source.read_to_end(&mut bytes).map_err(crate::export::archived::reading(asset))?;
            if bytes.len() as u64 <= MOST_HELD_BYTES {
                held = Some(bytes);
            }
        }
        let mut source = Source { asset, assets, held };
        let written = match asset.media_type.as_str() {
            "image/jpeg" => jpeg::write(&mut source, objects, out),
            "image/png" => png::write(&mut source, objects, out),
            _ => Err(Refusal::Unfit),
        };
        let picture = match written {
            Ok(picture) => Some(picture),
            Err(Refusal::Unfit) => None,
            Err(Refusal::Failed(error)) => return Err(error),
        };
        if let Some(known) = self.known.get_mut(index) {
            *known = Some(picture);
        }
        Ok(picture)
    }
}

/// Whether a picture of this size may be shown.
fn fits(width: u32, height: u32) -> Result<(), Refusal> {
    let sides = 1..=MOST_SIDE;
    let pixels = u64::from(width) * u64::from(height);
    if sides.contains(&width) && sides.contains(&height) && pixels <= MOST_PIXELS {
        Ok(())
    } else {
        Err(Refusal::Unfit)
    }
}
