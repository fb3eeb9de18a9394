//! Where the parts of a multipart upload begin: of a part's number alone, so that whoever goes on with an upload cuts it
//! as it was begun.

use super::PART_BYTES;

/// Of S3's 10,000 parts so many have [`PART_BYTES`]: 39 GiB. What is larger goes on in large ones.
const SMALL_PARTS: u32 = 8_000;
/// Bytes of the parts behind those.
const LARGE_PART_BYTES: usize = 64 << 20;
/// More parts than this no storage takes.
pub(super) const MOST_PARTS: u32 = 10_000;

/// Where a part begins, which is where the one before it ends.
pub(super) fn begin(part: u32) -> Option<u64> {
    let (small, large) = (u64::from(part.min(SMALL_PARTS)), u64::from(part.saturating_sub(SMALL_PARTS)));
    (part <= MOST_PARTS).then_some(small * PART_BYTES as u64 + large * LARGE_PART_BYTES as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_begins_where_the_one_before_it_ends() {
        assert_eq!(begin(0), Some(0));
        for part in 0..MOST_PARTS {
            let bytes = begin(part + 1).unwrap() - begin(part).unwrap();
            assert_eq!(bytes, if part < 8_000 { PART_BYTES as u64 } else { 64 << 20 });
        }
        assert_eq!(begin(MOST_PARTS + 1), None);
    }
}
