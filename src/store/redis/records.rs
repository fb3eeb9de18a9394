//! [`Records`] on Redis: a collection is three keys on one slot, an operation one script (`lua/record_*.lua`).
//! Owns: the keys below. Must not know: what documents mean.
//!
//! | key | type | what |
//! | --- | --- | --- |
//! | `P:documents` | hash key → `<version> <end> <value>` | the documents; the end in microseconds since 1970, `-` for none |
//! | `P:keys` | zset, all with score 0 | the keys in the order of their bytes |
//! | `P:ends` | zset key → end | the keys of documents that have an end |
//! | `{<namespace>:records}:collections` | set | collections that hold or held documents with an end: where to sweep |
//!
//! `P` is the hash tag `{<namespace>:records:<collection>}`, with `%`, `{` and `}` of the name percent-encoded, so that no
//! two collections share a key. A document whose end has come counts as not there in every script, whether it has been
//! removed yet or not: by [`Records::sweep`], or a few at each write to its collection.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use redis::{ErrorKind, FromRedisValue, RedisError, Value, cmd};

use super::{Redis, Script};
use crate::{
    domain::{Clock, Timestamp},
    store::{
        Expect, Record, RecordPage, Records, StoreError,
        bounds::{MOST_LISTED, MOST_LISTED_BYTES, check_collection, check_key, check_value},
    },
};

/// How many expired documents a sweep removes at most: bounds how long other commands wait.
const MOST_SWEPT: usize = 500;
/// How many documents a listing looks at, those that have expired included.
const MOST_LOOKED_AT: usize = 5_000;
/// How many collections' names are remembered as written down; programs have a dozen.
const MOST_REMEMBERED: usize = 1_000;

/// A script of the records, with what all of them share in front.
macro_rules! script {
    ($name:literal) => {
        LazyLock::new(|| {
            let own = include_str!(concat!("lua/record_", $name, ".lua"));
            Script::new(concat!("record_", $name), &[include_str!("lua/records.lua"), own])
        })
    };
}

static GET: LazyLock<Script> = script!("get");
static PUT: LazyLock<Script> = script!("put");
static DELETE: LazyLock<Script> = script!("delete");
static LIST: LazyLock<Script> = script!("list");
static SWEEP: LazyLock<Script> = script!("sweep");
static NOW: LazyLock<Script> = script!("now");

/// The records of one Redis.
#[derive(Debug)]
pub struct RedisRecords {
    redis: Redis,
    clock: Option<Arc<dyn Clock>>,
    /// Collections that this process has written down for the sweep. Held for a few instructions at a time.
    swept: Mutex<HashSet<String>>,
}

impl RedisRecords {
    /// The records under the namespace of `redis`. Without a clock the server's own rules, so that the clocks of those
    /// who use it don't matter.
    pub fn new(redis: Redis, clock: Option<Arc<dyn Clock>>) -> Self {
        Self { redis, clock, swept: Mutex::default() }
    }

    async fn run(
        &self,
        script: &Script,
        collection: &str,
        arguments: impl IntoIterator<Item = Vec<u8>>,
        doing: &'static str,
    ) -> Result<Value, StoreError> {
        let now = self.clock.as_ref().map(|clock| clock.now().as_micros().to_string()).unwrap_or_default();
        let arguments: Vec<Vec<u8>> = std::iter::once(now.into_bytes()).chain(arguments).collect();
        let tag = tag(self.redis.namespace(), collection);
        let ran = self.redis.run(script, tag.as_bytes(), &arguments);
        ran.await.map_err(|error| failed(doing, error))
    }

    /// Writes down that the collection has documents with an end.
    async fn remember(&self, collection: &str) -> Result<(), StoreError> {
        let mut add = cmd("SADD");
        add.arg(self.collections()).arg(collection);
        self.redis.command(&add).await.map_err(|error| failed("write a record", error))?;
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.len() >= MOST_REMEMBERED {
            swept.clear();
        }
        swept.insert(collection.to_owned());
        Ok(())
    }

    fn is_remembered(&self, collection: &str) -> bool {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner).contains(collection)
    }

    fn collections(&self) -> String {
        format!("{{{}:records}}:collections", self.redis.namespace())
    }
}

/// The hash tag of a collection.
fn tag(namespace: &str, collection: &str) -> String {
    let name = collection.replace('%', "%25").replace('{', "%7b").replace('}', "%7d");
    format!("{{{namespace}:records:{name}}}")
}

#[async_trait]
impl Records for RedisRecords {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Record>, StoreError> {
        check_key(collection, key)?;
        const DOING: &str = "read a record";
        let found = self.run(&GET, collection, [bytes(key)], DOING).await?;
        let document: Option<Vec<u8>> = read(found, DOING)?;
        document.map(|document| record(key.to_owned(), document)).transpose()
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        value: Bytes,
        expect: Expect,
        expires_at: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        check_key(collection, key)?;
        check_value(&value)?;
        const DOING: &str = "write a record";
        // Before it is written: else a crash could leave a document that no sweep finds.
        let was_remembered = self.is_remembered(collection);
        if expires_at.is_some() && !was_remembered {
            self.remember(collection).await?;
        }
        let end = expires_at.map_or_else(|| "-".to_owned(), |end| end.as_micros().to_string());
        let arguments = [bytes(key), expectation(expect), end.into_bytes(), value.into()];
        let (version, is_first) =
            changed(self.run(&PUT, collection, arguments, DOING).await?, collection, key, DOING)?;
        // The server may have been emptied since it was written down.
        if is_first && was_remembered {
            self.remember(collection).await?;
        }
        Ok(version)
    }

    async fn delete(&self, collection: &str, key: &str, expect: Expect) -> Result<bool, StoreError> {
        check_key(collection, key)?;
        const DOING: &str = "delete a record";
        let answer = self.run(&DELETE, collection, [bytes(key), expectation(expect)], DOING).await?;
        changed(answer, collection, key, DOING).map(|(removed, _)| removed > 0)
    }

    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<RecordPage, StoreError> {
        check_collection(collection)?;
        const DOING: &str = "list records";
        let (from, to) = span(prefix, after);
        let bounds = [most.clamp(1, MOST_LISTED), MOST_LISTED_BYTES, MOST_LOOKED_AT];
        let arguments = [from, to].into_iter().chain(bounds.map(|bound| bound.to_string().into_bytes()));
        let found: Vec<Vec<u8>> = read(self.run(&LIST, collection, arguments, DOING).await?, DOING)?;
        let mut found = found.into_iter();
        let next = text(found.next().unwrap_or_default())?;
        let mut items = Vec::new();
        while let (Some(key), Some(document)) = (found.next(), found.next()) {
            let key = text(key)?;
            match record(key.clone(), document) {
                Ok(record) => items.push(record),
                Err(error) => tracing::warn!(collection, key, %error, "a record is left out of a listing"),
            }
        }
        Ok(RecordPage { items, next: (!next.is_empty()).then_some(next) })
    }

    async fn sweep(&self) -> Result<usize, StoreError> {
        const DOING: &str = "remove expired records";
        let mut members = cmd("SMEMBERS");
        members.arg(self.collections());
        let collections = self.redis.command(&members).await.map_err(|error| failed(DOING, error))?;
        let mut swept = 0;
        for collection in read::<Vec<String>>(collections, DOING)? {
            if swept >= MOST_SWEPT {
                break;
            }
            let most = (MOST_SWEPT - swept).to_string().into_bytes();
            swept += read::<usize>(self.run(&SWEEP, &collection, [most], DOING).await?, DOING)?;
        }
        Ok(swept)
    }

    async fn now(&self, collection: &str) -> Result<Option<Timestamp>, StoreError> {
        check_collection(collection)?;
        if self.clock.is_some() {
            return Ok(None);
        }
        const DOING: &str = "read the store's clock";
        let micros: String = read(self.run(&NOW, collection, [], DOING).await?, DOING)?;
        let micros =
            micros.parse().map_err(|_| StoreError::Corrupt("the store's clock gave no time".to_owned()));
        micros.map(Timestamp::from_micros).map(Some)
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn expectation(expect: Expect) -> Vec<u8> {
    match expect {
        Expect::Anything => b"any".to_vec(),
        Expect::Nothing => b"none".to_vec(),
        Expect::Version(version) => version.to_string().into_bytes(),
    }
}

/// From where to where a listing goes, as `ZRANGEBYLEX` takes it.
fn span(prefix: &str, after: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let from = match after {
        Some(after) if after >= prefix => [b"(", after.as_bytes()].concat(),
        _ if prefix.is_empty() => b"-".to_vec(),
        _ => [b"[", prefix.as_bytes()].concat(),
    };
    let mut to = [b"(", prefix.as_bytes()].concat();
    match to.last_mut() {
        // No byte of UTF-8 is 255: what follows all with the prefix is the prefix with its last byte one up.
        Some(last) if !prefix.is_empty() => *last += 1,
        _ => to = b"+".to_vec(),
    }
    (from, to)
}

/// What a script that changes something answers: what it has done, or the version that it found instead.
fn changed(
    answer: Value,
    collection: &str,
    key: &str,
    doing: &'static str,
) -> Result<(u64, bool), StoreError> {
    match read::<Vec<i64>>(answer, doing)?[..] {
        [1, done, ref more @ ..] => Ok((u64::try_from(done).unwrap_or(0), more.contains(&1))),
        [_, found, ..] => Err(StoreError::Conflict {
            collection: collection.to_owned(),
            key: key.to_owned(),
            found: u64::try_from(found).ok(),
        }),
        _ => Err(StoreError::Corrupt("a script of the records gave no answer".to_owned())),
    }
}

/// A document as it is stored.
fn record(key: String, document: Vec<u8>) -> Result<Record, StoreError> {
    let head = || {
        let version_end = document.iter().position(|byte| *byte == b' ')?;
        let end_end = version_end + 1 + document[version_end + 1..].iter().position(|byte| *byte == b' ')?;
        let version = std::str::from_utf8(&document[..version_end]).ok()?.parse().ok()?;
        let expires_at = match &document[version_end + 1..end_end] {
            b"-" => None,
            end => Some(Timestamp::from_micros(std::str::from_utf8(end).ok()?.parse().ok()?)),
        };
        Some((version, expires_at, end_end + 1))
    };
    let corrupt = || StoreError::Corrupt("the records hold a document without a head".to_owned());
    let (version, expires_at, start) = head().ok_or_else(corrupt)?;
    Ok(Record { key, version, value: Bytes::from(document).slice(start..), expires_at })
}

fn text(bytes: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(bytes)
        .map_err(|_| StoreError::Corrupt("the records hold a key that is no text".to_owned()))
}

fn read<T: FromRedisValue>(answer: Value, doing: &'static str) -> Result<T, StoreError> {
    T::from_redis_value(answer).map_err(|error| StoreError::Unavailable { doing, cause: error.into() })
}

fn failed(doing: &'static str, error: RedisError) -> StoreError {
    let code = error.code().unwrap_or_default();
    match (error.kind(), code) {
        (_, "OOM" | "MISCONF" | "NOPERM") => StoreError::Unwritable { cause: error.into() },
        (_, "WRONGTYPE" | "CORRUPT") => StoreError::Corrupt(error.to_string()),
        (ErrorKind::UnexpectedReturnType, _) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable { doing, cause: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_collections_share_a_key() {
        assert_eq!(tag("pw", "users"), "{pw:records:users}");
        assert_eq!(tag("pw", "a}:keys{%7d"), "{pw:records:a%7d:keys%7b%257d}");
    }

    #[test]
    fn a_listing_spans_all_keys_of_its_prefix() {
        let span = |prefix, after| {
            let (from, to) = span(prefix, after);
            (String::from_utf8(from).unwrap(), String::from_utf8(to).unwrap())
        };
        assert_eq!(span("", None), ("-".to_owned(), "+".to_owned()));
        assert_eq!(span("", Some("a")), ("(a".to_owned(), "+".to_owned()));
        assert_eq!(span("a/", None), ("[a/".to_owned(), "(a0".to_owned()));
        assert_eq!(span("a/", Some("A")), ("[a/".to_owned(), "(a0".to_owned()));
        assert_eq!(span("a/", Some("a/2")), ("(a/2".to_owned(), "(a0".to_owned()));
    }

    #[test]
    fn a_document_is_parted_from_its_head() {
        let read = record("k".to_owned(), b"7 -5 a b".to_vec()).unwrap();
        assert_eq!(
            (read.version, &read.value[..], read.expires_at),
            (7, &b"a b"[..], Some(Timestamp::from_micros(-5)))
        );
        assert!(record("k".to_owned(), b"hunter2".to_vec()).is_err());
    }
}
