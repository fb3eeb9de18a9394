//! Where an upload may be gone on with: for the end of each part, from where compressed bytes have to be made again, so
//! that the stored bytes behind it can be. Arithmetic only.

use super::places;
use crate::security::seal::{PREAMBLE_BYTES, SEGMENT_BYTES, TAG_BYTES, sealed_offset};

/// The end of a part, as places in the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// So many parts end there.
    pub(super) parts: u32,
    /// Stored bytes before it.
    pub(super) stored: u64,
    /// Stored bytes before the sealed segment that it falls into; the same as `stored` where nothing is sealed.
    pub(super) stored_from: u64,
    /// That segment.
    pub(super) segment: u64,
    /// Compressed bytes before that segment; the same as `stored` where nothing is sealed.
    pub(super) compressed: u64,
}

impl Cut {
    /// Where so many parts, one or more, end; `None` where there can't be so many.
    pub(super) fn at(parts: u32, sealed: bool) -> Option<Self> {
        let stored = places::begin(parts)?;
        if !sealed {
            return Some(Self { parts, stored, stored_from: stored, segment: 0, compressed: stored });
        }
        let segment = stored.checked_sub(PREAMBLE_BYTES as u64)? / (SEGMENT_BYTES + TAG_BYTES) as u64;
        let (stored_from, compressed) = (sealed_offset(segment), segment * SEGMENT_BYTES as u64);
        Some(Self { parts, stored, stored_from, segment, compressed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::seal::sealed_bytes;

    #[test]
    fn the_segment_of_a_cut_holds_it() {
        for parts in (1..10_000).step_by(7) {
            let cut = Cut::at(parts, true).unwrap();
            assert!(cut.stored_from <= cut.stored);
            assert!(cut.stored < cut.stored_from + (SEGMENT_BYTES + TAG_BYTES) as u64);
            // The last segment of what ends there is an empty one, of a tag alone.
            assert_eq!(sealed_bytes(cut.compressed), cut.stored_from + TAG_BYTES as u64);
            let plain = Cut::at(parts, false).unwrap();
            assert_eq!((plain.compressed, plain.stored_from), (plain.stored, plain.stored));
        }
    }
}
