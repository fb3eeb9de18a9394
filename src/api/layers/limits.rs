//! Limits at the door: how often somebody may call. Owns: which bucket a call is taken from, what its answer tells, and that a
//! storm of refusals is a trickle in the audit log. Must not know: how buckets work, where they are.
//!
//! Who has proved who he is takes from the bucket `api` of his tenant, and from `api:session` of his session or key and
//! `api:address` of his address where a rate is set for those; where none is, the tenant's own, which all of them fill,
//! is the narrower one already. Whoever has not, or was refused, takes from the bucket `anonymous` of his address.

use std::{
    fmt::Write as _,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue},
    response::Response,
};
use lru::LruCache;

use super::operations::Operations;
use crate::{
    api::{
        caller::Origin,
        problem::{Problem, ProblemType, seconds},
    },
    domain::{Clock, Rate, TenantId},
    engine::Engine,
    limits::{Advance, Bucket, Decision, LimitError, LimitRules, MemoryLimiter, Resource, Rules, Scope},
    security::{
        access::Principal,
        audit::{Action, Actor, Audit, Entry, Outcome},
    },
};

/// Calls by one session or key.
const SESSION: Resource = Resource::literal("api:session");
/// Calls for one tenant from one address.
const ADDRESS: Resource = Resource::literal("api:address");
/// How long the store of the tenants' own rates may take to answer before the ones that were known last hold.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often a bucket that refuses is told of in the audit log.
const PAUSE: Duration = Duration::from_secs(60);
/// How many tenants and buckets are remembered.
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Who may still call.
pub(crate) struct Limits {
    limiter: Door,
    rules: Arc<Rules>,
    audit: Audit,
    clock: Arc<dyn Clock>,
    operations: Arc<Operations>,
    /// The rates that held last.
    known: Mutex<LruCache<TenantId, Rates>>,
    hits: Mutex<Hits>,
}

/// Where the buckets are.
enum Door {
    /// In Redis. A process takes some tokens in advance, where there are many.
    Fleet(Advance),
    /// In memory.
    Own(MemoryLimiter),
}

impl Door {
    async fn take(&self, bucket: &Bucket, rate: Rate) -> Result<Decision, LimitError> {
        match self {
            Self::Fleet(advance) => match advance.take_at_once(bucket, rate) {
                Some(decision) => Ok(decision),
                None => Box::pin(advance.take(bucket, rate)).await,
            },
            Self::Own(own) => Ok(own.take_one(bucket, rate)),
        }
    }
}

/// What holds for the callers of a tenant; `None` is no limit.
#[derive(Clone, Copy, Debug)]
struct Rates {
    tenant: Option<Rate>,
    session: Option<Rate>,
    address: Option<Rate>,
}

/// What they are of, in the order in which [`Rates`] takes them.
const RATES: [&Resource; 3] = [&LimitRules::API, &SESSION, &ADDRESS];

impl From<[Option<Rate>; 3]> for Rates {
    fn from([tenant, session, address]: [Option<Rate>; 3]) -> Self {
        Self { tenant, session, address }
    }
}

/// Buckets that refuse: when the audit log was told last, and how many refusals there were since.
struct Hits(LruCache<Bucket, (Duration, u64)>);

impl Hits {
    /// One refusal more: of how many the audit log is to be told now; `None` while the last word on the bucket is fresh.
    fn hit(&mut self, bucket: &Bucket, now: Duration) -> Option<u64> {
        let Some((told_at, untold)) = self.0.get_mut(bucket) else {
            self.0.put(bucket.clone(), (now, 0));
            return Some(1);
        };
        *untold += 1;
        if now.saturating_sub(*told_at) < PAUSE {
            return None;
        }
        *told_at = now;
        Some(std::mem::take(untold))
    }
}

impl Limits {
    /// On the fleet's buckets; on the embedded engine in memory, for there each change of one is a write to disk.
    pub(crate) fn new(engine: &Engine, operations: Arc<Operations>) -> Self {
        let limiter = if engine.is_shared() {
            Door::Fleet(Advance::new(engine.limiter.clone(), engine.clock.clone()))
        } else {
            Door::Own(MemoryLimiter::new(engine.clock.clone(), engine.random.clone()))
        };
        Self {
            limiter,
            rules: engine.rules.clone(),
            audit: engine.audit.clone(),
            clock: engine.clock.clone(),
            operations,
            known: Mutex::new(LruCache::new(MOST)),
            hits: Mutex::new(Hits(LruCache::new(MOST))),
        }
    }

    /// Whether calls of the operation that a request asks for are counted.
    pub(crate) fn count(&self, request: &Request) -> bool {
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        !self.operations.is_uncounted(request.method(), path)
    }

    /// One call of an operation that is everybody's.
    ///
    /// # Errors
    /// [`Problem`] where its caller has called too often.
    pub(crate) async fn public(&self, is_counted: bool, origin: &Origin) -> Result<Told, Problem> {
        if is_counted { self.anonymous(origin).await } else { Ok(Told::default()) }
    }

    /// One call by somebody who has not proved who he is.
    ///
    /// # Errors
    /// [`Problem`] where he has called too often.
    pub(crate) async fn anonymous(&self, origin: &Origin) -> Result<Told, Problem> {
        let Some(rate) = self.rules.defaults().0.get(&LimitRules::ANONYMOUS) else {
            return Ok(Told::default());
        };
        let scope = origin.address.map_or_else(|| Scope::Other("nowhere".to_owned()), Scope::Address);
        let mut told = Told::default();
        let bucket = Bucket::new(scope, &LimitRules::ANONYMOUS);
        self.take(&mut told, bucket, *rate, origin, None).await?;
        Ok(told)
    }

    /// The answer to a credential that does not hold: the same as ever, until its sender has tried too often.
    pub(crate) async fn refused(&self, origin: &Origin, problem: Problem) -> Problem {
        if problem.kind() != ProblemType::Unauthenticated {
            return problem;
        }
        self.anonymous(origin).await.err().unwrap_or(problem)
    }

    /// One call by somebody who has.
    ///
    /// # Errors
    /// [`Problem`] where his tenant, his session or he from his address has called too often.
    pub(crate) async fn principal(&self, principal: &Principal, origin: &Origin) -> Result<Told, Problem> {
        let Rates { tenant, session, address } = self.rates(&principal.tenant).await;
        let mut told = Told::default();
        // The narrowest first: what one session may not do is not taken from the others.
        if let Some(rate) = session {
            let bucket = Bucket::new(Scope::Session(principal.subject.name()), &SESSION);
            self.take(&mut told, bucket, rate, origin, Some(principal)).await?;
        }
        if let (Some(rate), Some(address)) = (address, origin.address) {
            // By tenant: who calls for many tenants from one machine has for each what it has.
            let bucket =
                Bucket::new(Scope::Other(format!("{}@{}", principal.tenant, network(address))), &ADDRESS);
            self.take(&mut told, bucket, rate, origin, Some(principal)).await?;
        }
        if let Some(rate) = tenant {
            let bucket = Bucket::new(&principal.tenant, &LimitRules::API);
            self.take(&mut told, bucket, rate, origin, Some(principal)).await?;
        }
        Ok(told)
    }

    /// The tenant's rates; where they can't be read now, those that held last, else the defaults.
    async fn rates(&self, tenant: &TenantId) -> Rates {
        match self.rules.recall(tenant, RATES) {
            Some(rates) => rates.into(),
            None => Box::pin(self.read_rates(tenant)).await,
        }
    }

    async fn read_rates(&self, tenant: &TenantId) -> Rates {
        if let Ok(Ok(rates)) = tokio::time::timeout(PATIENCE, self.rules.rates(tenant, RATES)).await {
            let rates = rates.into();
            lock(&self.known).put(tenant.clone(), rates);
            return rates;
        }
        let known = lock(&self.known).get(tenant).copied();
        known.unwrap_or_else(|| RATES.map(|resource| self.rules.defaults().0.get(resource).copied()).into())
    }

    async fn take(
        &self,
        told: &mut Told,
        bucket: Bucket,
        rate: Rate,
        origin: &Origin,
        who: Option<&Principal>,
    ) -> Result<(), Problem> {
        let decision = self.limiter.take(&bucket, rate).await?;
        told.0.push((bucket.resource.clone(), rate, decision));
        if decision.allowed {
            return Ok(());
        }
        Box::pin(self.note_hit(&bucket, rate, origin, who)).await;
        let detail = format!("too many calls: {} are allowed here ({rate})", bucket.resource);
        Err(told.problem(Problem::new(ProblemType::LimitReached, detail).after(decision.retry_after)))
    }

    /// Tells the audit log of a refusal, where it is time to.
    async fn note_hit(&self, bucket: &Bucket, rate: Rate, origin: &Origin, who: Option<&Principal>) {
        let hit = lock(&self.hits).hit(bucket, self.clock.elapsed());
        if let Some(count) = hit {
            let mut entry = Entry::new(Action::LimitHit).ended(Outcome::Refused).to(bucket.resource.as_str());
            entry = entry.with("count", count).with("rate", rate);
            entry.actor = who.map_or(Actor::Anonymous, |who| Actor::Subject(who.subject.name()));
            entry.tenant = who.map(|who| who.tenant.clone());
            (entry.address, entry.request) = (origin.address, origin.request.clone());
            self.audit.record(entry).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands for all addresses of a subscriber.
fn network(address: std::net::IpAddr) -> String {
    match address.to_canonical() {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// What the buckets answered, for the answer's headers.
#[derive(Debug, Default)]
pub(crate) struct Told(Vec<(Resource, Rate, Decision)>);

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Told {
    /// Writes `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): the limits that hold, what is left of
    /// each, and in how many seconds it is whole again.
    pub(crate) fn onto(&self, mut response: Response) -> Response {
        if let Some((policy, limit)) = self.fields() {
            response.headers_mut().insert(POLICY, policy);
            response.headers_mut().insert(LIMIT, limit);
        }
        response
    }

    fn problem(&self, problem: Problem) -> Problem {
        match self.fields() {
            Some((policy, limit)) => problem.header(POLICY, policy).header(LIMIT, limit),
            None => problem,
        }
    }

    fn fields(&self) -> Option<(HeaderValue, HeaderValue)> {
        if self.0.is_empty() {
            return None;
        }
        let (mut policy, mut limit) = (String::with_capacity(64), String::with_capacity(64));
        for (place, (resource, rate, decision)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let micros = u64::try_from(rate.tolerance_micros()).unwrap_or(u64::MAX);
            let (quota, window) = (decision.limit, seconds(Duration::from_micros(micros)).max(1));
            let (left, reset) = (decision.remaining, seconds(decision.reset.max(decision.retry_after)));
            // Writing to a string can't fail.
            let _ = write!(policy, "{comma}\"{resource}\";q={quota};w={window}");
            let _ = write!(limit, "{comma}\"{resource}\";r={left};t={reset}");
        }
        Some((HeaderValue::try_from(policy).ok()?, HeaderValue::try_from(limit).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_told_of_once_a_minute_with_its_count() {
        let mut hits = Hits(LruCache::new(MOST));
        let bucket = |name: &str| Bucket::new(Scope::Other(name.to_owned()), &LimitRules::API);
        let at = Duration::from_secs;
        assert_eq!(hits.hit(&bucket("a"), at(0)), Some(1));
        for second in 1..60 {
            assert_eq!(hits.hit(&bucket("a"), at(second)), None);
        }
        assert_eq!(hits.hit(&bucket("b"), at(30)), Some(1));
        assert_eq!(hits.hit(&bucket("a"), at(60)), Some(60));
        assert_eq!(hits.hit(&bucket("a"), at(61)), None);
    }
}
