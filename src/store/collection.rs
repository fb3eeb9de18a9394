//! A collection seen through a type: documents are JSON inside. Owns: [`Collection`]. Must not know: any engine.

use std::{marker::PhantomData, sync::Arc};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{Expect, Record, Records, StoreError};
use crate::domain::{Clock, Timestamp};

/// How often [`Collection::update`] tries. Of those who change a document at one time one always gets through, so it
/// is also how many may.
const MOST_TRIES: usize = 32;

/// A stored document, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document<T> {
    /// Its key within the collection.
    pub key: String,
    /// Its version, for [`Expect::Version`].
    pub version: u64,
    /// The document.
    pub value: T,
    /// When it vanishes by itself.
    pub expires_at: Option<Timestamp>,
}

/// A piece of a listing, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPage<T> {
    /// The documents, by key.
    pub items: Vec<Document<T>>,
    /// Go on after this key; `None` at the end.
    pub next: Option<String>,
}

/// One collection of [`Records`] whose documents are all of type `T`.
pub struct Collection<T> {
    records: Arc<dyn Records>,
    name: &'static str,
    document: PhantomData<fn() -> T>,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self { records: self.records.clone(), name: self.name, document: PhantomData }
    }
}

impl<T> std::fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Collection({})", self.name)
    }
}

impl<T: Serialize + DeserializeOwned> Collection<T> {
    /// The collection of this name.
    pub fn new(records: Arc<dyn Records>, name: &'static str) -> Self {
        Self { records, name, document: PhantomData }
    }

    /// The document under a key.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] where what is there is no `T`.
    pub async fn get(&self, key: &str) -> Result<Option<Document<T>>, StoreError> {
        self.records.get(self.name, key).await?.map(|record| self.read(record)).transpose()
    }

    /// Writes a document where the expectation holds and answers its new version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it does not hold; [`StoreError::Invalid`] where the key or the document
    /// can't be kept.
    pub async fn put(
        &self,
        key: &str,
        value: &T,
        expect: Expect,
        expires_at: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        self.records.put(self.name, key, self.write(value)?, expect, expires_at).await
    }

    /// Reads, changes and writes a document as if in one step, and answers what is there afterwards. `change` is given
    /// what is there and leaves what shall be there: `None` where there is none. It is called again where somebody
    /// else was faster, so it should only look at what it is given. The document's end stays as it was; where the
    /// document did not change nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody else was faster 32 times over.
    pub async fn update(
        &self,
        key: &str,
        mut change: impl FnMut(&mut Option<T>) + Send,
    ) -> Result<Option<T>, StoreError> {
        let mut tries = 1;
        loop {
            match self.try_update(key, &mut change).await {
                Err(StoreError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
                result => return result,
            }
        }
    }

    /// Removes a document where the expectation holds; `false` where nothing was there.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it does not hold.
    pub async fn delete(&self, key: &str, expect: Expect) -> Result<bool, StoreError> {
        self.records.delete(self.name, key, expect).await
    }

    /// The store's own time; `None` where the clock of this process rules.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn now(&self) -> Result<Option<Timestamp>, StoreError> {
        self.records.now(self.name).await
    }

    /// The time that decides when its documents end: the store's own, or this process's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn now_by(&self, clock: &dyn Clock) -> Result<Timestamp, StoreError> {
        Ok(self.now().await?.unwrap_or_else(|| clock.now()))
    }

    /// Documents whose key begins with `prefix`, by key, at most `most` (1 to 1,000) from behind `after`. One that is no
    /// `T` is left out and told in the log: it does not hide the others, which may be other tenants'.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<DocumentPage<T>, StoreError> {
        let page = self.records.list(self.name, prefix, after, most).await?;
        let read = |record| match self.read(record) {
            Ok(document) => Some(document),
            Err(error) => {
                tracing::warn!(%error, "a document is left out of a listing");
                None
            }
        };
        Ok(DocumentPage { items: page.items.into_iter().filter_map(read).collect(), next: page.next })
    }

    async fn try_update(
        &self,
        key: &str,
        change: &mut (impl FnMut(&mut Option<T>) + Send),
    ) -> Result<Option<T>, StoreError> {
        let found = self.records.get(self.name, key).await?;
        let (before, expires_at) = found.as_ref().map(|record| (&record.value, record.expires_at)).unzip();
        let expect = found.as_ref().map_or(Expect::Nothing, |record| Expect::Version(record.version));
        let mut value = found.clone().map(|record| self.read(record)).transpose()?.map(|read| read.value);
        change(&mut value);
        let after = value.as_ref().map(|value| self.write(value)).transpose()?;
        if after.as_ref() == before {
            return Ok(value);
        }
        match after {
            Some(bytes) => {
                self.records.put(self.name, key, bytes, expect, expires_at.flatten()).await?;
            }
            None => {
                self.records.delete(self.name, key, expect).await?;
            }
        }
        Ok(value)
    }

    fn read(&self, record: Record) -> Result<Document<T>, StoreError> {
        let Record { key, version, value, expires_at } = record;
        // Only the place of the fault: serde's own words quote the document, and that may be a secret.
        let value = serde_json::from_slice(&value).map_err(|error| {
            StoreError::Corrupt(format!(
                "{}/{key} is not the document that this version of Presswork keeps there (line {}, column {})",
                self.name,
                error.line(),
                error.column()
            ))
        })?;
        Ok(Document { key, version, value, expires_at })
    }

    fn write(&self, value: &T) -> Result<Bytes, StoreError> {
        serde_json::to_vec(value).map(Bytes::from).map_err(|_| {
            StoreError::Invalid(format!("the document for {} can't be written as JSON", self.name))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        domain::ManualClock,
        store::sqlite::{Database, SqliteRecords},
    };

    type Shelf = BTreeMap<String, u32>;

    fn collection(folder: &tempfile::TempDir) -> (Arc<dyn Records>, Collection<Shelf>) {
        let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let records: Arc<dyn Records> = Arc::new(SqliteRecords::new(Arc::new(database), clock));
        (records.clone(), Collection::new(records, "shelves"))
    }

    fn shelf(count: u32) -> Shelf {
        Shelf::from([("books".to_owned(), count)])
    }

    #[tokio::test]
    async fn a_document_survives_its_json() {
        let folder = tempfile::tempdir().unwrap();
        let (_, shelves) = collection(&folder);
        let end = Some(Timestamp::from_millis(5));
        assert_eq!(shelves.put("a", &shelf(3), Expect::Nothing, end).await.unwrap(), 1);
        let document = shelves.get("a").await.unwrap().unwrap();
        assert_eq!((document.version, &document.value, document.expires_at), (1, &shelf(3), end));
        assert_eq!(shelves.list("", None, 10).await.unwrap().items, [document]);
        assert!(shelves.delete("a", Expect::Version(1)).await.unwrap());
        assert_eq!(shelves.get("a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn changes_made_at_one_time_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (_, shelves) = collection(&folder);
        let add = |value: &mut Option<Shelf>| {
            *value.get_or_insert_default().entry("books".to_owned()).or_default() += 1;
        };
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let shelves = shelves.clone();
                tokio::spawn(async move { shelves.update("a", add).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(shelves.get("a").await.unwrap().unwrap().value, shelf(16));
    }

    #[tokio::test]
    async fn an_update_may_remove_and_writes_only_what_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (_, shelves) = collection(&folder);
        let end = Some(Timestamp::from_millis(5));
        shelves.put("a", &shelf(1), Expect::Nothing, end).await.unwrap();
        shelves.update("a", |_| ()).await.unwrap();
        assert_eq!(shelves.get("a").await.unwrap().unwrap().version, 1);
        shelves.update("a", |value| *value = Some(shelf(2))).await.unwrap();
        let document = shelves.get("a").await.unwrap().unwrap();
        assert_eq!((document.version, document.expires_at), (2, end));
        assert_eq!(shelves.update("a", |value| *value = None).await.unwrap(), None);
        assert_eq!(shelves.get("a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_document_of_another_shape_is_named_but_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let (records, shelves) = collection(&folder);
        let foreign = Bytes::from_static(b"\"hunter2\"");
        records.put("shelves", "a", foreign, Expect::Anything, None).await.unwrap();
        let error = shelves.get("a").await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)));
        let text = error.to_string();
        assert!(text.contains("shelves/a") && !text.contains("hunter2"), "{text}");
    }
}
