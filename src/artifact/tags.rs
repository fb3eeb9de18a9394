//! What a storage says of stored parts, and whether these are the ones that came now. Must not know: uploads.

use md5::{Digest as _, Md5};
use object_store::Error;

use super::storage::StoredPart;
use crate::{domain::Hex, security::text::hex};

/// The id of a stored part, where it has these bytes for certain: S3's tag of a part is its MD5, unless S3 encrypts it.
pub(super) fn same(stored: StoredPart, bytes: &[u8]) -> Option<String> {
    let is_same = stored.bytes == bytes.len() as u64 && is_tag_of(&stored.id, bytes);
    is_same.then_some(stored.id)
}

/// Whether a stored part has other bytes, as far as can be told: where S3 encrypts it, its tag only looks like an MD5, and
/// starting over is the price.
pub(super) fn is_other(stored: &StoredPart, bytes: &[u8]) -> bool {
    let is_md5 = |id: &str| id.parse::<Hex<16>>().is_ok();
    stored.bytes != bytes.len() as u64
        || is_md5(&stored.id.trim_matches('"').to_ascii_lowercase()) && !is_tag_of(&stored.id, bytes)
}

/// Whether a tag is these bytes' MD5.
fn is_tag_of(id: &str, bytes: &[u8]) -> bool {
    id.trim_matches('"').eq_ignore_ascii_case(&hex(&Md5::digest(bytes)))
}

/// Whether a storage will never complete an upload of these parts. `object_store` has no more of its answer than the text.
pub(super) fn refuses_parts(error: &Error) -> bool {
    let codes = ["InvalidPart", "EntityTooSmall", "InvalidBlockList", "InvalidBlockId", "InvalidBlobOrBlock"];
    let told = error.to_string();
    codes.iter().any(|code| told.contains(code))
}

/// S3's tag of the whole, where the parts' tags are MD5s.
pub(super) fn whole_tag(ids: &[String]) -> Option<String> {
    let digests = ids.iter().map(|id| id.trim_matches('"').parse::<Hex<16>>().ok());
    let hash = digests
        .collect::<Option<Vec<_>>>()?
        .iter()
        .fold(Md5::new(), |hash, digest| hash.chain_update(digest.0));
    Some(format!("\"{}-{}\"", hex(&hash.finalize()), ids.len()))
}

/// Whether a tag is one that S3 gives to a whole of parts, and another one than this. Whose tags are of another kind (Google's
/// have a hyphen too) says nothing by them.
pub(super) fn is_other_whole(found: &str, whole: &str) -> bool {
    let bare = found.trim_matches('"');
    let is_whole = bare.split_once('-').is_some_and(|(digest, parts)| {
        digest.to_ascii_lowercase().parse::<Hex<16>>().is_ok() && parts.parse::<u32>().is_ok()
    });
    is_whole && !bare.eq_ignore_ascii_case(whole.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_part_is_known_again_by_its_length_and_its_md5() {
        let stored = |bytes, id: &str| StoredPart { index: 0, bytes, id: id.to_owned() };
        let tag = "\"900150983cd24fb0d6963f7d28e17f72\"";
        assert_eq!(same(stored(3, tag), b"abc").as_deref(), Some(tag));
        assert_eq!(same(stored(3, tag), b"abd"), None);
        assert_eq!(same(stored(4, tag), b"abc"), None);
        let whole = whole_tag(&[tag.to_owned()]).unwrap();
        assert!(whole.ends_with("-1\"") && !whole.contains("9001509"), "{whole}");
        assert_eq!(whole_tag(&["5242880".to_owned()]), None);
        assert!(!is_other_whole(&whole, &whole) && !is_other_whole(&whole.to_uppercase(), &whole));
        assert!(is_other_whole(&whole.replace("-1", "-2"), &whole));
        for anothers in ["\"-CJ2ssqf6mJADEAE=\"", "\"0x8D4BCC2E4835CD0\"", "\"\"", tag] {
            assert!(!is_other_whole(anothers, &whole), "{anothers}");
        }
    }
}
