//! Pictures as they go into an archive: as they are, since they are compressed already.

use std::io::{self, Read, Write};

use super::{
    AssetSource,
    zip::{Method, Zip},
};
use crate::book::{Asset, BookError};

/// Pictures up to this size are held for a moment, so that they can be stored as they are.
const MOST_HELD_BYTES: u64 = 1 << 20;
/// From this size on an entry is declared large: compression could make it cross 4 GiB, should it fail.
const LARGE_BYTES: u64 = 2 << 30;

/// Writes a picture as the entry `name`.
pub(super) fn picture(
    zip: &mut Zip,
    assets: &mut dyn AssetSource,
    out: &mut dyn Write,
    name: &str,
    asset: &Asset,
) -> Result<(), BookError> {
    let mut source = assets.open(asset)?;
    let is_text = asset.media_type == "image/svg+xml";
    let mut start = Vec::new();
    (&mut source).take(MOST_HELD_BYTES + 1).read_to_end(&mut start).map_err(reading(asset))?;
    if start.len() as u64 <= MOST_HELD_BYTES && !is_text {
        return Ok(zip.stored(out, name, &start)?);
    }
    let method = if is_text { Method::Deflate } else { Method::Plain };
    zip.begin(out, name, method, asset.bytes >= LARGE_BYTES)?;
    zip.write(out, &start)?;
    start.resize(64 << 10, 0);
    start.shrink_to_fit();
    loop {
        match source.read(&mut start) {
            Ok(0) => break,
            Ok(read) => zip.write(out, &start[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(reading(asset)(error)),
        }
    }
    Ok(zip.end(out)?)
}

/// A failure to read a picture; one that travelled inside comes out again.
pub(super) fn reading(asset: &Asset) -> impl Fn(io::Error) -> BookError + '_ {
    |error| match error.downcast::<BookError>() {
        Ok(own) => own,
        Err(error) => BookError::storage(format!("reading the image {}", asset.name), error),
    }
}
