//! Limits of use: token buckets for tenants, sessions and addresses. Owns: [`Limiter`] and its engines, [`Rules`] (which
//! rate holds for whom). Must not know: jobs, HTTP, what a resource is.
//!
//! A bucket is named by whose it is and of what ([`Bucket`]); its rate is given with each call, so that a changed rate is
//! in force at once. What a call costs may be known only afterwards: [`Limiter::reserve`] takes an estimate and
//! [`Limiter::settle`] puts it right. A provider that says "too many requests" is heard by the whole fleet through
//! [`Limiter::park`].

mod advance;
mod fallback;
mod level;
mod memory;
mod names;
mod records;
mod redis;
mod rules;
mod statistics;

use std::time::Duration;

use async_trait::async_trait;

pub use advance::Advance;
pub use fallback::FallbackLimiter;
pub use memory::MemoryLimiter;
pub use names::{Bucket, Resource, ResourceError, Scope};
pub use records::RecordsLimiter;
pub use redis::RedisLimiter;
pub use rules::{LimitRules, Rules};
pub use statistics::ResourceStatistics;

use crate::domain::{Random, Rate};
pub use crate::store::breaker::Health;

/// What a bucket answered, with all that an API tells in its `RateLimit` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the tokens were taken.
    pub allowed: bool,
    /// How many tokens a full bucket holds.
    pub limit: u32,
    /// How many there are now, after this call.
    pub remaining: u32,
    /// How long until the same call would succeed, if nobody else takes; zero where it has.
    pub retry_after: Duration,
    /// How long until the bucket is full again.
    pub reset: Duration,
    /// For how long nothing is let through yet, however many tokens there are; `None` where the bucket is not parked.
    pub parked: Option<Duration>,
}

/// Tokens taken before the cost is known, to be settled when it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// From which bucket.
    pub bucket: Bucket,
    /// At which rate.
    pub rate: Rate,
    /// How many.
    pub estimate: u32,
    pub(crate) id: ReservationId,
}

/// Names a reservation: 128 random bits as text, so that nobody settles what he does not hold.
pub(crate) type ReservationId = String;

impl Reserved {
    fn new(bucket: &Bucket, rate: Rate, estimate: u32, id: ReservationId, decision: Decision) -> Self {
        if decision.allowed {
            let reservation = Reservation { bucket: bucket.clone(), rate, estimate, id };
            Self::Granted { reservation, decision }
        } else {
            Self::Denied(decision)
        }
    }

    /// What the bucket answered.
    pub fn decision(&self) -> &Decision {
        match self {
            Self::Granted { decision, .. } | Self::Denied(decision) => decision,
        }
    }
}

pub(crate) fn new_reservation(random: &dyn Random) -> ReservationId {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    format!("{:032x}", u128::from_le_bytes(bytes))
}

/// What became of a wish to reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The estimate was taken.
    Granted {
        /// To be settled.
        reservation: Reservation,
        /// The bucket after it.
        decision: Decision,
    },
    /// Nothing was taken; the decision says why and until when.
    Denied(Decision),
}

/// What became of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The actual cost counts now.
    Settled,
    /// The reservation is gone: it was settled before or has expired, and counts as it did.
    Gone,
}

/// A limiter's store can't be used, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// Try again later.
    #[error("limits can't be read while trying to {doing}: {cause}")]
    Unavailable {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Report it: what is stored, or what a script answered, makes no sense.
    #[error("limits can't be used: {0}")]
    Broken(String),
}

impl LimitError {
    /// The same for one more of those for whom one call was made.
    fn again(&self) -> Self {
        match self {
            Self::Unavailable { doing, cause } => {
                Self::Unavailable { doing, cause: cause.to_string().into() }
            }
            Self::Broken(problem) => Self::Broken(problem.clone()),
        }
    }
}

/// Token buckets that those who share an engine share. Its promises:
///
/// 1. **Exact.** A bucket lets its burst through at once and its rate in the long run, and never more in any stretch of
///    time, however many take at once and from wherever. A cost above the burst waits for a full bucket and leaves a
///    debt. What a settlement gives back is no more than what the bucket would hold now, had it never been taken.
/// 2. **One step.** Each call is atomic. A call that is refused takes nothing.
/// 3. **Settled once.** A second settlement of a reservation changes nothing. One that is never settled expires
///    after its time and counts as the estimate.
/// 4. **Parked for all.** A parked bucket lets nothing through before its time, whoever asks. Of two times the later wins.
/// 5. **Bounded.** A bucket that is full again takes no room.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Takes `cost` tokens, or says how long until they are there.
    ///
    /// # Errors
    /// [`LimitError`]; whether they were taken is unknown then.
    async fn take(&self, bucket: &Bucket, rate: Rate, cost: u32) -> Result<Decision, LimitError>;

    /// Takes an estimate, which may be settled for as long as `hold`.
    ///
    /// # Errors
    /// [`LimitError`]; whether it was taken is unknown then.
    async fn reserve(
        &self,
        bucket: &Bucket,
        rate: Rate,
        estimate: u32,
        hold: Duration,
    ) -> Result<Reserved, LimitError>;

    /// Puts a reservation right: gives back what was too much, takes what was too little, also where that leaves a debt.
    ///
    /// # Errors
    /// [`LimitError`]; the same call may be repeated.
    async fn settle(&self, reservation: &Reservation, actual: u32) -> Result<Settlement, LimitError>;

    /// Lets nothing through for so long.
    ///
    /// # Errors
    /// [`LimitError`]; the same call may be repeated.
    async fn park(&self, bucket: &Bucket, wait: Duration) -> Result<(), LimitError>;

    /// How long nothing will be let through yet; `None` where the bucket is not parked.
    ///
    /// # Errors
    /// [`LimitError`].
    async fn parked(&self, bucket: &Bucket) -> Result<Option<Duration>, LimitError>;

    /// The bucket as it is; takes nothing. Allowed where one token could be taken.
    ///
    /// # Errors
    /// [`LimitError`].
    async fn level(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError>;

    /// Whether limits hold for all who share the engine, or for this process alone for now.
    fn health(&self) -> Health {
        Health::Well
    }

    /// Counts a call that somebody has answered of tokens which he took before.
    fn count(&self, resource: &Resource, decision: &Decision);

    /// What this process was answered so far, a resource.
    fn statistics(&self) -> Vec<ResourceStatistics>;
}
