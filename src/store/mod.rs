//! The records' seam: small documents (tenants, users, keys, sessions, schedules) with a version and, where asked,
//! an end. Owns: [`Records`] and its engines. Must not know: what the documents mean.

mod bounds;
#[cfg(feature = "server")]
pub mod breaker;
mod collection;
#[cfg(feature = "server")]
pub(crate) mod overrides;
pub mod redis;
#[cfg(feature = "server")]
pub mod sqlite;
#[cfg(feature = "server")]
pub(crate) mod together;

use async_trait::async_trait;
use bytes::Bytes;

pub use bounds::{MOST_KEY_BYTES, MOST_LISTED, MOST_VALUE_BYTES};
pub use collection::{Collection, Document, DocumentPage};

use crate::domain::Timestamp;

/// A stored document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key within the collection.
    pub key: String,
    /// Rises by one with each change; starts at 1, also where an earlier document was removed or has expired.
    pub version: u64,
    /// The document.
    pub value: Bytes,
    /// When it vanishes by itself.
    pub expires_at: Option<Timestamp>,
}

/// On what condition a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there.
    Anything,
    /// Only where nothing is there.
    Nothing,
    /// Only where this version is there.
    Version(u64),
}

/// A listing's piece: at most as many records as asked, and the key to go on after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPage {
    /// The records, by key.
    pub items: Vec<Record>,
    /// Go on after this key; `None` at the end.
    pub next: Option<String>,
}

/// What can go wrong with records, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Read again and decide anew: somebody else has changed it.
    #[error(
        "{collection}/{key} was changed meanwhile (version {found:?}): read it again and repeat the change"
    )]
    Conflict {
        /// The collection.
        collection: String,
        /// The key.
        key: String,
        /// The version that is there; `None` where nothing is.
        found: Option<u64>,
    },
    /// The call itself is wrong: mend it.
    #[error("{0}")]
    Invalid(String),
    /// Try again later.
    #[error("store unavailable while trying to {doing}: {cause}")]
    Unavailable {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Make room: the disk is full or may not be written.
    #[error("the store can't be written ({cause}): free disk space or mend its permissions, then try again")]
    Unwritable {
        /// Why it failed.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored makes no sense, or was written by a newer Presswork.
    #[error("the store can't be used: {0}")]
    Corrupt(String),
}

#[cfg(feature = "server")]
impl StoreError {
    /// The same for one more of those for whom one call was made.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Conflict { collection, key, found } => {
                Self::Conflict { collection: collection.clone(), key: key.clone(), found: *found }
            }
            Self::Invalid(problem) => Self::Invalid(problem.clone()),
            Self::Unavailable { doing, cause } => {
                Self::Unavailable { doing, cause: cause.to_string().into() }
            }
            Self::Unwritable { cause } => Self::Unwritable { cause: cause.to_string().into() },
            Self::Corrupt(problem) => Self::Corrupt(problem.clone()),
        }
    }
}

/// Small documents in collections, each with a version for compare-and-set and, where asked, a time to live.
/// What has expired is never seen again, whether it has been removed yet or not. A collection's name and a key have 1
/// to [`MOST_KEY_BYTES`] bytes without control characters, a document at most [`MOST_VALUE_BYTES`]; what is outside
/// that is [`StoreError::Invalid`] for every operation.
#[async_trait]
pub trait Records: Send + Sync {
    /// The document under a key.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Record>, StoreError>;

    /// Writes a document where the expectation holds and answers its new version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it does not hold.
    async fn put(
        &self,
        collection: &str,
        key: &str,
        value: Bytes,
        expect: Expect,
        expires_at: Option<Timestamp>,
    ) -> Result<u64, StoreError>;

    /// Removes a document where the expectation holds; `false` where nothing was there.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it does not hold.
    async fn delete(&self, collection: &str, key: &str, expect: Expect) -> Result<bool, StoreError>;

    /// Documents whose key begins with `prefix`, in the order of their keys' bytes, at most `most` (1 to
    /// [`MOST_LISTED`]) from behind `after`; fewer where they are large. What can't be read is left out.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<RecordPage, StoreError>;

    /// Removes expired documents, a bounded batch; answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn sweep(&self) -> Result<usize, StoreError>;

    /// The time by which a collection's documents end, where that is the store's own: the same for all who share it, whatever
    /// their clocks say. `None` where the clock of this process rules.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn now(&self, _collection: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}
