//! The kinds that a program knows, by name. Owns the way from a stored payload to a running handler.
//! Must not know: the queue, leases, apalis.

use std::{collections::BTreeMap, fmt, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    context::Context,
    kind::{Kind, PayloadError},
};
use crate::domain::{Failure, JobId, KindName, NewJob, Payload, RetryPolicy, TenantId};

/// A handler at work: ends with the kind's output as JSON.
pub(crate) type Work = BoxFuture<'static, Result<serde_json::Value, Failure>>;

/// What the registry keeps of a kind once its type is forgotten.
#[derive(Clone, Copy)]
struct Entry {
    version: u16,
    retry: RetryPolicy,
    timeout: Duration,
    /// Decodes and checks; gives the cost.
    check: fn(&Payload) -> Result<u32, PayloadError>,
    /// The same, and gives the handler.
    start: fn(&Payload, &Context) -> Result<Work, PayloadError>,
}

/// The kinds of a program.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<KindName, Entry>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds.keys()).finish()
    }
}

/// How attempts of a kind are run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Duration,
}

impl Registry {
    /// A registry without kinds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind; one of the same name is replaced.
    #[must_use]
    pub fn register<K: Kind>(mut self) -> Self {
        let entry = Entry {
            version: K::VERSION,
            retry: K::RETRY,
            timeout: K::TIMEOUT,
            check: |payload| read::<K>(payload).map(|kind| kind.cost().max(1)),
            start: |payload, context| Ok(work(read::<K>(payload)?, context.clone()).boxed()),
        };
        self.kinds.insert(K::NAME, entry);
        self
    }

    /// The names of all kinds, sorted.
    pub fn kinds(&self) -> Vec<KindName> {
        self.kinds.keys().cloned().collect()
    }

    /// Whether the kind is known.
    pub fn knows(&self, kind: &KindName) -> bool {
        self.kinds.contains_key(kind)
    }

    /// Whether a payload could be run by this program.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn validate(&self, kind: &KindName, version: u16, bytes: &Bytes) -> Result<(), PayloadError> {
        let payload = Payload { version, bytes: bytes.clone() };
        (self.reader(kind, &payload)?.check)(&payload).map(drop)
    }

    /// The version of the kind's payload that this program writes.
    pub fn version(&self, kind: &KindName) -> Option<u16> {
        self.kinds.get(kind).map(|entry| entry.version)
    }

    /// A job of a kind known only by name, its payload as JSON text of the current version: the door of the command
    /// line and the API. Like [`new_job`](super::new_job) else.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn new_job(
        &self,
        id: JobId,
        tenant: TenantId,
        kind: &KindName,
        json: Bytes,
    ) -> Result<NewJob, PayloadError> {
        if json.len() > NewJob::MOST_PAYLOAD_BYTES {
            return Err(PayloadError::TooLarge { kind: kind.clone(), bytes: json.len() });
        }
        let entry = self.entry(kind)?;
        let payload = Payload { version: entry.version, bytes: json };
        let cost = (entry.check)(&payload)?;
        let mut job = NewJob::new(id, tenant, kind.clone(), payload);
        job.cost = cost;
        job.max_attempts = entry.retry.most_attempts();
        Ok(job)
    }

    /// How attempts of the kind are run; the defaults where it is unknown.
    pub(crate) fn terms(&self, kind: &KindName) -> Terms {
        let entry = self.kinds.get(kind);
        Terms {
            retry: entry.map_or_else(RetryPolicy::default, |entry| entry.retry),
            timeout: entry.map_or(Duration::ZERO, |entry| entry.timeout),
        }
    }

    /// The handler for a stored payload, not yet begun.
    pub(crate) fn start(
        &self,
        kind: &KindName,
        payload: &Payload,
        context: &Context,
    ) -> Result<Work, PayloadError> {
        (self.reader(kind, payload)?.start)(payload, context)
    }

    /// The kind, where it knows payloads of this version.
    fn reader(&self, kind: &KindName, payload: &Payload) -> Result<&Entry, PayloadError> {
        let entry = self.entry(kind)?;
        if payload.version > entry.version {
            return Err(PayloadError::Newer {
                kind: kind.clone(),
                found: payload.version,
                known: entry.version,
            });
        }
        Ok(entry)
    }

    fn entry(&self, kind: &KindName) -> Result<&Entry, PayloadError> {
        self.kinds.get(kind).ok_or_else(|| {
            let known: Vec<&str> = self.kinds.keys().map(KindName::as_str).collect();
            PayloadError::UnknownKind { kind: kind.clone(), known: known.join(", ") }
        })
    }
}

fn read<K: Kind>(payload: &Payload) -> Result<K, PayloadError> {
    let kind: K = serde_json::from_slice(&payload.bytes).map_err(|error| PayloadError::Unreadable {
        kind: K::NAME,
        version: payload.version,
        problem: error.to_string(),
    })?;
    kind.check().map_err(|problem| PayloadError::Wrong { kind: K::NAME, problem })?;
    Ok(kind)
}

async fn work<K: Kind>(kind: K, context: Context) -> Result<serde_json::Value, Failure> {
    let output = kind.run(context).await?;
    serde_json::to_value(output)
        .map_err(|error| Failure::fatal(format_args!("the output of {} is no JSON: {error}", K::NAME)))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{domain::Timestamp, worker::new_job};

    #[derive(Serialize, Deserialize)]
    struct Print {
        pages: u32,
    }

    impl Kind for Print {
        const NAME: KindName = KindName::literal("print");
        const VERSION: u16 = 2;
        const RETRY: RetryPolicy = RetryPolicy::attempts(3);
        type Output = u32;

        fn check(&self) -> Result<(), String> {
            if self.pages == 0 { Err("pages must be at least 1".into()) } else { Ok(()) }
        }

        fn cost(&self) -> u32 {
            self.pages
        }

        async fn run(self, _: Context) -> Result<u32, Failure> {
            Ok(self.pages)
        }
    }

    fn registry() -> Registry {
        Registry::new().register::<Print>()
    }

    fn validate(version: u16, json: &'static str) -> Result<(), PayloadError> {
        registry().validate(&Print::NAME, version, &Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn a_payload_is_validated_at_the_door() {
        assert_eq!(validate(1, r#"{"pages":3}"#), Ok(()));
        assert!(matches!(validate(3, r#"{"pages":3}"#), Err(PayloadError::Newer { found: 3, known: 2, .. })));
        assert!(matches!(validate(2, r#"{"pages":0}"#), Err(PayloadError::Wrong { .. })));
        for bad in ["", "null", "{", r#"{"pages":-1}"#, "\u{0}"] {
            assert!(matches!(validate(2, bad), Err(PayloadError::Unreadable { .. })), "{bad:?}");
        }
        let other = "other".parse().unwrap();
        let unknown = registry().validate(&other, 1, &Bytes::new()).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no job kind other; this program knows: print");
    }

    #[test]
    fn both_doors_make_the_same_job() {
        let id = JobId::new(Timestamp::EPOCH, &crate::domain::SeededRandom::new(1));
        let tenant: TenantId = "acme".parse().unwrap();
        let typed = new_job(id, tenant.clone(), &Print { pages: 7 }).unwrap();
        let json = Bytes::from_static(br#"{"pages":7}"#);
        assert_eq!(registry().new_job(id, tenant.clone(), &Print::NAME, json), Ok(typed.clone()));
        assert_eq!((typed.cost, typed.max_attempts, typed.payload.version), (7, 3, 2));
        assert!(new_job(id, tenant.clone(), &Print { pages: 0 }).is_err());
        let large = Bytes::from(vec![b' '; NewJob::MOST_PAYLOAD_BYTES + 1]);
        let refused = registry().new_job(id, tenant, &Print::NAME, large);
        assert!(matches!(refused, Err(PayloadError::TooLarge { .. })));
    }
}
