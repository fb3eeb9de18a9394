//! How many keys a tenant may have. Owns: the bounds, and that what is counted is there. Must not know: whether a key holds for
//! a caller.
//!
//! Places are counted, not keys: all of a tenant's come in a few pages. A place is written before its key and changed behind it,
//! so where a write in between fails, it says too much. Where a tenant seems full its keys are looked at themselves, and what
//! its places say is put right: no fault of the store counts against anybody for good.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lru::LruCache;

use super::{AT_ONCE, ApiKeys, Place, gone_at};
use crate::{
    domain::TenantId,
    store::{Document, Expect, StoreError},
};

/// The most keys of a tenant that have not ended.
pub(super) const MOST_KEYS: usize = 1_000;
/// The most with those that have ended and can still be looked up.
pub(super) const MOST_KEPT: usize = 10_000;
/// How many places are read at a time to count them.
const COUNTED_AT_ONCE: usize = 1_000;
/// A key that is not there so long after its place was written never came.
pub(super) const BEING_MADE: Duration = Duration::from_secs(600);
/// A tenant's keys are looked at themselves no more often: that is a thousand reads.
pub(super) const PUT_RIGHT_AGAIN: Duration = Duration::from_secs(60);
/// Of so many tenants it is remembered when that was.
const MOST_TENANTS: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// Whether tenants may have one more.
pub(super) struct Room {
    /// When tenants' places were put right.
    put_right: Mutex<LruCache<TenantId, Duration>>,
}

impl Default for Room {
    fn default() -> Self {
        Self { put_right: Mutex::new(LruCache::new(MOST_TENANTS)) }
    }
}

impl Room {
    /// Whether a tenant may have one more.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where not.
    pub(super) async fn check(&self, keys: &ApiKeys, tenant: &TenantId) -> Result<(), StoreError> {
        let Err(full) = check(keys, tenant).await? else { return Ok(()) };
        if !self.is_due(tenant, keys.clock.elapsed()) || !put_right(keys, tenant).await? {
            return Err(full);
        }
        check(keys, tenant).await?
    }

    fn is_due(&self, tenant: &TenantId, now: Duration) -> bool {
        let mut all = self.put_right.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(tenant).is_some_and(|last| now.saturating_sub(*last) < PUT_RIGHT_AGAIN) {
            return false;
        }
        all.put(tenant.clone(), now);
        true
    }
}

/// Whether there is room by what the places say; else why not.
async fn check(keys: &ApiKeys, tenant: &TenantId) -> Result<Result<(), StoreError>, StoreError> {
    let (prefix, now) = (format!("{tenant}/"), keys.clock.now());
    let (mut holding, mut kept, mut after) = (0, 0, None);
    loop {
        let page = keys.places.list(&prefix, after.as_deref(), COUNTED_AT_ONCE).await?;
        kept += page.items.len();
        holding += page.items.iter().filter(|item| item.value.ends_at.is_none_or(|end| end > now)).count();
        if holding >= MOST_KEYS {
            let problem =
                format!("the tenant has {MOST_KEYS} keys, which are the most: revoke one of them first");
            return Ok(Err(StoreError::Invalid(problem)));
        }
        if kept >= MOST_KEPT {
            let problem = format!(
                "the tenant has made {MOST_KEPT} keys within 90 days, which are the most: the oldest that have ended are forgotten first"
            );
            return Ok(Err(StoreError::Invalid(problem)));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(Ok(())),
        }
    }
}

/// Puts right what a tenant's places say where a key has ended or never came; whether any was wrong.
async fn put_right(keys: &ApiKeys, tenant: &TenantId) -> Result<bool, StoreError> {
    let (prefix, now) = (format!("{tenant}/"), keys.clock.now());
    let (mut some, mut after) = (false, None::<String>);
    loop {
        let page = keys.places.list(&prefix, after.as_deref(), COUNTED_AT_ONCE).await?;
        let holding = page.items.into_iter().filter(|item| item.value.ends_at.is_none_or(|end| end > now));
        let mended = stream::iter(holding).map(|item| mend(keys, item)).buffer_unordered(AT_ONCE);
        some |= mended.try_fold(false, |any, one| async move { Ok(any | one) }).await?;
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(some),
        }
    }
}

/// Puts one place right; whether it was wrong.
async fn mend(keys: &ApiKeys, item: Document<Place>) -> Result<bool, StoreError> {
    let Document { key: place, version, value, .. } = item;
    let mended = match keys.keys.get(&value.hash).await? {
        Some(found) => {
            let right = Place::of(&value.hash, &found.value);
            if right.ends_at == value.ends_at {
                return Ok(false);
            }
            let gone = gone_at(&found.value);
            keys.places.put(&place, &right, Expect::Version(version), gone).await.map(drop)
        }
        None => {
            let is_coming = value.made_at.is_some_and(|made| keys.clock.now().since(made) < BEING_MADE);
            if is_coming {
                return Ok(false);
            }
            keys.places.delete(&place, Expect::Version(version)).await.map(drop)
        }
    };
    match mended {
        Ok(()) | Err(StoreError::Conflict { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}
