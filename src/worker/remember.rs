//! What a handler remembers for other jobs of its tenant. Owns: the seal around it where the tenant seals. Must not know: levels
//! of the cache.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::context::Surroundings;
use crate::{
    cache::{CacheKey, Pattern},
    domain::{Failure, Reason, TenantId},
    security::{
        KeyringError,
        seal::{self, DataKey, KeyId, Preamble, SealContext},
    },
};

/// How soon a job looks again that has found something which can't be opened.
const SOON: Duration = Duration::from_secs(1);

/// The document that is remembered; where there is none, what `load` gives. It lies sealed in both levels where the tenant seals.
pub(super) async fn remembered<F>(
    surroundings: &Surroundings,
    tenant: &TenantId,
    key: &CacheKey,
    lives: Duration,
    load: impl FnOnce() -> F,
) -> Result<Bytes, Failure>
where
    F: Future<Output = Result<Bytes, Failure>>,
{
    let seal_with = match seal_with(surroundings, tenant).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, %tenant, "nothing is remembered: whether the tenant seals can't be told now");
            return load().await;
        }
    };
    let (cache, random) = (surroundings.cache.tenant(tenant), &*surroundings.random);
    let object = object(key);
    let context = SealContext { tenant, object: &object };
    let mut loaded = None;
    let slot = &mut loaded;
    let kept = cache.get_or_load(key, lives, || async move {
        let plain = load().await?;
        let kept = match &seal_with {
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
        return Ok(plain);
    }
    if !seal::looks_sealed(&kept) {
        return Ok(kept);
    }
    match open(surroundings, &context, &kept).await {
        Ok(plain) => Ok(plain),
        Err(problem) => {
            tracing::warn!(problem, %tenant, "what was remembered can't be opened and is forgotten");
            let _reach = cache.invalidate(&Pattern::from(key)).await;
            let reason = Reason::new(format!("what was remembered can't be opened: {problem}"));
            Err(Failure::Snooze { wait: SOON, reason })
        }
    }
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
    sealed: &Bytes,
) -> Result<Bytes, String> {
    let (preamble, _) = Preamble::split(sealed).map_err(|error| error.to_string())?;
    let key = surroundings.keyring.key(context.tenant, &preamble.key).await;
    let key = key.map_err(|error| error.to_string())?;
    seal::open(&key, context, sealed).map(Bytes::from).map_err(|error| error.to_string())
}
