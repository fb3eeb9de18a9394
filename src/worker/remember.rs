//! What a handler remembers for other jobs of its tenant. Owns: the seal around it where the tenant seals. Must not know: levels
//! of the cache.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::context::Surroundings;
use crate::{
    cache::CacheKey,
    domain::{Failure, Reason, TenantId},
    security::{
        KeyringError,
        seal::{self, DataKey, KeyId, Preamble, SealContext},
    },
};

/// How soon a job looks again where the key can't be had now.
const SOON: Duration = Duration::from_secs(1);
/// How often what can't be read is removed before it is loaded past the cache: somebody else writes what this program can't read.
const MOST_REMOVED: usize = 2;

/// The document that is remembered, as `read` reads it; where there is none, what `load` gives. It lies sealed in both levels where
/// the tenant seals. What can't be opened or read is none, and makes room.
pub(super) async fn remembered<T, F>(
    surroundings: &Surroundings,
    tenant: &TenantId,
    (key, lives): (&CacheKey, Duration),
    read: impl Fn(&Bytes) -> Option<T>,
    load: impl FnOnce() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<Bytes, Failure>>,
{
    let own = |plain: &Bytes| read(plain).ok_or_else(|| Failure::fatal("what was made can't be read again"));
    let seal_with = match seal_with(surroundings, tenant).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, %tenant, "nothing is remembered: whether the tenant seals can't be told now");
            return own(&load().await?);
        }
    };
    let (cache, random) = (surroundings.cache.tenant(tenant), &*surroundings.random);
    let object = object(key);
    let context = SealContext { tenant, object: &object };
    let mut load = Some(load);
    for _ in 0..MOST_REMOVED {
        let mut loaded = None;
        let (slot, load, seal_with) = (&mut loaded, &mut load, &seal_with);
        let kept = cache.get_or_load(key, lives, || async move {
            let load = load.take().ok_or_else(|| Failure::retry("it was loaded already"))?;
            let plain = load().await?;
            let kept = match seal_with {
                Some((id, key)) => {
                    let sealed = seal::seal(key, *id, &context, &plain, random);
                    Bytes::from(sealed.map_err(Failure::fatal)?)
                }
                None => plain.clone(),
            };
            *slot = Some(plain);
            Ok::<_, Failure>(kept)
        });
        let kept = kept.await?;
        if let Some(plain) = loaded {
            return own(&plain);
        }
        let problem = match open(surroundings, &context, &kept).await {
            Ok(plain) => match read(&plain) {
                Some(found) => return Ok(found),
                None => "it has another form than this program's".to_owned(),
            },
            Err(Unopened::Spoilt(problem)) => problem,
            Err(Unopened::NotNow(problem)) => {
                let reason = Reason::new(format!("what was remembered can't be opened now: {problem}"));
                return Err(Failure::Snooze { wait: SOON, reason });
            }
        };
        if cache.remove_spoilt(key, &kept).await {
            tracing::warn!(problem, %tenant, "what was remembered can't be read: it is made anew");
        }
    }
    let load = load.ok_or_else(|| Failure::retry("it was loaded already"))?;
    own(&load().await?)
}

/// Why something can't be opened.
enum Unopened {
    /// It never can here.
    Spoilt(String),
    /// The keys can't be read now.
    NotNow(String),
}

fn object(key: &CacheKey) -> String {
    format!("cache/{key}")
}

/// What the tenant's own is sealed with; `None` where it does not seal.
async fn seal_with(
    surroundings: &Surroundings,
    tenant: &TenantId,
) -> Result<Option<(KeyId, Arc<DataKey>)>, KeyringError> {
    let keyring = &surroundings.keyring;
    if keyring.seals(tenant).await? { keyring.newest(tenant).await.map(Some) } else { Ok(None) }
}

async fn open(
    surroundings: &Surroundings,
    context: &SealContext<'_>,
    kept: &Bytes,
) -> Result<Bytes, Unopened> {
    if !seal::looks_sealed(kept) {
        return Ok(kept.clone());
    }
    let spoilt = |error: &dyn std::fmt::Display| Unopened::Spoilt(error.to_string());
    let (preamble, _) = Preamble::split(kept).map_err(|error| spoilt(&error))?;
    let key = match surroundings.keyring.key(context.tenant, &preamble.key).await {
        Ok(key) => key,
        Err(error @ (KeyringError::Store(_) | KeyringError::Broken(_))) => {
            return Err(Unopened::NotNow(error.to_string()));
        }
        Err(error) => return Err(spoilt(&error)),
    };
    seal::open(&key, context, kept).map(Bytes::from).map_err(|error| spoilt(&error))
}
