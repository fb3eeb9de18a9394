//! What a handler uses of what is limited. Owns: how a refusal becomes a job that is put off. Must not know: where limits are
//! kept.

use std::{sync::Arc, time::Duration};

use super::context::Surroundings;
use crate::{
    domain::{Failure, Random, Reason, TenantId},
    limits::{Bucket, Limiter, Reservation, Reserved, Resource},
};

/// The least time for which a job is put off, so that a wait of microseconds makes no busy loop of claims.
const LEAST_WAIT: Duration = Duration::from_millis(10);
/// The longest time for which a resource is parked at once: a provider's word is taken for so much.
const LONGEST_PARK: Duration = Duration::from_secs(86_400);

/// A part of a resource that an attempt may use. Dropped without being settled, the estimate counts.
#[must_use = "settle it when it is known what was used"]
pub struct Reserve {
    limiter: Arc<dyn Limiter>,
    /// None of a resource that is not limited.
    reservation: Option<Reservation>,
}

impl std::fmt::Debug for Reserve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reserve").field(&self.reservation).finish()
    }
}

impl Reserve {
    /// Says what was used: what was too much goes back, what was too little is taken, also where that leaves a debt. Where
    /// it can't be told now the estimate counts: no reason to fail what was done.
    pub async fn settle(self, actual: u32) {
        if let Some(reservation) = &self.reservation
            && let Err(error) = self.limiter.settle(reservation, actual).await
        {
            let resource = &reservation.bucket.resource;
            tracing::warn!(%error, %resource, "a reservation could not be settled: its estimate counts");
        }
    }
}

/// Reserves, at the tenant's rate. The reservation can be settled for as long as an attempt may take.
pub(super) async fn reserve(
    surroundings: &Surroundings,
    tenant: &TenantId,
    resource: &Resource,
    cost: u32,
    hold: Duration,
) -> Result<Reserve, Failure> {
    let Surroundings { limiter, rules, random, .. } = surroundings;
    let (limiter, bucket) = (limiter.clone(), Bucket::new(tenant, resource));
    let Some(rate) = rules.rate(tenant, resource).await.map_err(Failure::retry)? else {
        return match limiter.parked(&bucket).await.map_err(Failure::retry)? {
            Some(wait) => Err(put_off(&**random, wait, &format!("{resource} is parked"))),
            None => Ok(Reserve { limiter, reservation: None }),
        };
    };
    match limiter.reserve(&bucket, rate, cost, hold).await.map_err(Failure::retry)? {
        Reserved::Granted { reservation, .. } => Ok(Reserve { limiter, reservation: Some(reservation) }),
        Reserved::Denied(decision) => {
            let why = match decision.parked {
                Some(_) => format!("{resource} is parked"),
                None => format!("the tenant's limit of {resource}, {rate}, is used up"),
            };
            Err(put_off(&**random, decision.retry_after, &why))
        }
    }
}

/// Parks a resource of the tenant.
pub(super) async fn park(
    surroundings: &Surroundings,
    tenant: &TenantId,
    resource: &Resource,
    wait: Duration,
) -> Failure {
    let wait = wait.min(LONGEST_PARK);
    if let Err(error) = surroundings.limiter.park(&Bucket::new(tenant, resource), wait).await {
        tracing::warn!(%error, %resource, "a resource could not be parked: other jobs will find out themselves");
    }
    put_off(&*surroundings.random, wait, &format!("{resource} is parked"))
}

/// Not all at the same instant: of those who come back together all but a few would be put off again.
fn put_off(random: &dyn Random, wait: Duration, why: &str) -> Failure {
    let wait = wait.max(LEAST_WAIT);
    let most = u64::try_from(wait.as_micros() / 8).unwrap_or(u64::MAX);
    let wait = wait.saturating_add(Duration::from_micros(random.below(most)));
    Failure::Snooze { wait, reason: Reason::new(why) }
}
