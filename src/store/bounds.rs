//! What a record may be: the bounds that every engine checks before it touches its store.

use super::StoreError;

/// The most bytes that a key or a collection's name may have.
pub const MOST_KEY_BYTES: usize = 512;
/// The most bytes that a document may have: what is large belongs in storage.
pub const MOST_VALUE_BYTES: usize = 1 << 20;
/// The most records in a page of a listing.
pub const MOST_LISTED: usize = 1_000;
/// Where a page of a listing ends early, so that a page of large documents does not fill the memory.
pub(super) const MOST_LISTED_BYTES: usize = 4 << 20;

/// # Errors
/// [`StoreError::Invalid`] where the collection's name or the key is empty, too long or holds control characters.
pub(super) fn check_key(collection: &str, key: &str) -> Result<(), StoreError> {
    check_text("collection", collection)?;
    check_text("key", key)
}

/// # Errors
/// [`StoreError::Invalid`] where the name of the collection is empty, too long or holds control characters.
pub(super) fn check_collection(collection: &str) -> Result<(), StoreError> {
    check_text("collection", collection)
}

/// # Errors
/// [`StoreError::Invalid`] where the document is too large.
pub(super) fn check_value(value: &[u8]) -> Result<(), StoreError> {
    if value.len() > MOST_VALUE_BYTES {
        return Err(StoreError::Invalid(format!(
            "a document of {} bytes is too large: at most {MOST_VALUE_BYTES} are kept in a record",
            value.len()
        )));
    }
    Ok(())
}

fn check_text(what: &str, text: &str) -> Result<(), StoreError> {
    // The text itself is left out: it may be a secret's hash, or be megabytes long.
    let problem = if text.is_empty() {
        "is empty".to_owned()
    } else if text.len() > MOST_KEY_BYTES {
        format!("has {} bytes", text.len())
    } else if text.chars().any(char::is_control) {
        "holds control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(StoreError::Invalid(format!(
        "a record's {what} {problem}: it takes 1 to {MOST_KEY_BYTES} bytes without control characters"
    )))
}
