//! Why a job does not run. Owns: which of what holds a job up is told, and when it is likely to start. Must not know: how
//! a claim obeys it.

use redis::Value;

use super::{
    RedisQueue,
    answer::{Answer, unreadable},
    read::key,
    scripts, settle,
};
use crate::{
    domain::{BatchId, JobId, KindLimits, KindName, State, TenantId, Timestamp},
    queue::{Constraint, QueueError, Scope, Why},
};

/// How many jobs run, and how many may.
type Load = (u32, Option<u32>);

/// What `why.lua` has found, at one moment.
#[derive(Debug, PartialEq)]
struct Facts {
    now: Timestamp,
    state: State,
    run_at: Timestamp,
    jobs: (Option<JobId>, u64),
    batch: (Option<BatchId>, u64),
    /// Everything, the tenant, the kind.
    paused: [bool; 3],
    of_tenant: Load,
    of_lane: Load,
    of_kind: Load,
    kind_limits: KindLimits,
    bucket: Timestamp,
    rate: Option<Rate>,
    /// Microseconds from one start of the lane to the next, of late.
    pace: Option<i64>,
    ahead: u64,
}

/// A lane's rate as it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    interval: i64,
    burst: i64,
}

impl Facts {
    /// The one thing that is told: the first that holds the job up, in the order of [`Constraint`].
    fn constraint(&self, tenant: &TenantId, kind: &KindName) -> Constraint {
        let full = |(running, most): Load| most.filter(|most| running >= *most);
        let token_at = self.token_at(0);
        match self {
            Self { state, .. } if state.is_final() || *state == State::Running => Constraint::Nothing,
            Self { run_at, now, .. } if run_at > now => Constraint::Time { until: *run_at },
            Self { jobs: (first, left @ 1..), .. } => Constraint::Jobs { first: *first, left: *left },
            Self { batch: (Some(batch), left), state: State::Blocked, .. } => {
                Constraint::Batch { batch: *batch, left: *left }
            }
            Self { paused: [true, ..], .. } => Constraint::Paused { scope: Scope::Everything },
            Self { paused: [_, true, _], .. } => Constraint::Paused { scope: Scope::Tenant(tenant.clone()) },
            Self { paused: [.., true], .. } => Constraint::Paused { scope: Scope::Kind(kind.clone()) },
            _ => match (full(self.of_tenant), full(self.of_lane), full(self.of_kind), token_at) {
                (Some(limit), ..) => Constraint::TenantRunning { limit },
                (_, Some(limit), ..) => Constraint::LaneRunning { limit },
                // The shard's share is used up; what people have set is the whole.
                (_, _, Some(share), _) => {
                    Constraint::KindRunning { limit: self.kind_limits.max_running.unwrap_or(share) }
                }
                (.., Some(until)) if until > self.now => Constraint::Rate { until },
                _ => Constraint::Turn,
            },
        }
    }

    /// When there is a token for a job behind so many others of its lane; nothing where the lane has no rate.
    fn token_at(&self, ahead: u64) -> Option<Timestamp> {
        let Rate { interval, burst } = self.rate?;
        let full_at = self.bucket.as_micros();
        let now = self.now.as_micros();
        let tolerance = interval.saturating_mul(burst);
        // A slower rate may have left a debt that the present one would never make.
        let base = full_at.min(now.saturating_add(tolerance)).max(now);
        let tokens = i64::try_from(ahead).unwrap_or(i64::MAX).saturating_add(1);
        let at = base.saturating_add(interval.saturating_mul(tokens)).saturating_sub(tolerance);
        Some(Timestamp::from_micros(at.max(now)))
    }

    /// When it is likely to start.
    fn estimate(&self, constraint: &Constraint) -> Option<Timestamp> {
        let token_at = self.token_at(self.ahead);
        let paced = self.pace.map(|pace| {
            let starts = i64::try_from(self.ahead).unwrap_or(i64::MAX).saturating_add(1);
            Timestamp::from_micros(self.now.as_micros().saturating_add(pace.saturating_mul(starts)))
        });
        match constraint {
            Constraint::Nothing
            | Constraint::Jobs { .. }
            | Constraint::Batch { .. }
            | Constraint::Paused { .. }
            // Nobody knows when one of those that run will end.
            | Constraint::TenantRunning { .. }
            | Constraint::LaneRunning { .. }
            | Constraint::KindRunning { .. } => None,
            Constraint::Time { until } => Some(*until),
            // Nobody knows how fast the lane would be without its rate: the tokens alone tell.
            Constraint::Rate { .. } => token_at,
            Constraint::Turn => paced.map(|paced| token_at.map_or(paced, |token| token.max(paced))),
        }
    }

    fn why(&self, tenant: &TenantId, kind: &KindName) -> Why {
        let constraint = self.constraint(tenant, kind);
        let estimate = self.estimate(&constraint);
        Why { state: self.state, constraint, ahead: self.ahead, estimate }
    }
}

impl RedisQueue {
    /// Why a job does not run; nothing where the tenant has no such job.
    pub(super) async fn why_waiting(&self, tenant: &TenantId, id: JobId) -> Result<Option<Why>, QueueError> {
        let Some(job) = self.inspect_jobs(tenant, &[id]).await?.pop().flatten() else { return Ok(None) };
        let arguments = vec![
            tenant.as_str().into(),
            key(id).to_vec(),
            job.kind.as_str().into(),
            job.priority.rank().to_string().into_bytes(),
        ];
        let answer =
            self.ask("tell why a job waits", &scripts::WHY, self.shard_of(tenant), arguments).await?;
        Ok(facts(answer)?.map(|facts| facts.why(tenant, &job.kind)))
    }
}

/// What `why.lua` answered; nothing where the tenant has no such job.
fn facts(answer: Value) -> Result<Option<Facts>, QueueError> {
    let mut answer = Answer::of(answer)?;
    let Some(now) = answer.time() else { return Ok(None) };
    let state = answer.bytes().and_then(|letter| settle::state(*letter.first()?));
    let run_at = answer.time().unwrap_or_default();
    let (first, jobs) = (answer.id(), answer.count());
    let (batch, unfinished) = (answer.id(), answer.count());
    let paused = [answer.flag(), answer.flag(), answer.flag()];
    let mut load = || (answer.limit().unwrap_or(0), answer.limit());
    let (of_tenant, of_lane, of_kind) = (load(), load(), load());
    let kind_limits = answer.bytes().map(|json| serde_json::from_slice(&json)).transpose();
    let bucket = answer.time().unwrap_or_default();
    let rate = answer.text().map(|text| Rate::read(&text).ok_or_else(|| unreadable("the lane's rate")));
    let pace = answer.number();
    Ok(Some(Facts {
        now,
        state: state.ok_or_else(|| unreadable("the job's state"))?,
        run_at,
        jobs: (first, jobs),
        batch: (batch.map(|id| BatchId::from_u128(id.as_u128())), unfinished),
        paused,
        of_tenant,
        of_lane,
        of_kind,
        kind_limits: kind_limits.map_err(|_| unreadable("the kind's limits"))?.unwrap_or_default(),
        bucket,
        rate: rate.transpose()?,
        pace,
        ahead: answer.count(),
    }))
}

impl Rate {
    fn read(text: &str) -> Option<Self> {
        let (interval, burst) = text.split_once(' ')?;
        Some(Self { interval: interval.parse().ok()?, burst: burst.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000_000;
    const SECOND: i64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(NOW + seconds * SECOND)
    }

    /// A job that waits, and nothing holds it up.
    fn free() -> Facts {
        Facts {
            now: at(0),
            state: State::Waiting,
            run_at: at(-5),
            jobs: (None, 0),
            batch: (None, 0),
            paused: [false; 3],
            of_tenant: (3, None),
            of_lane: (2, Some(3)),
            of_kind: (7, Some(8)),
            kind_limits: KindLimits { max_running: Some(16) },
            bucket: Timestamp::EPOCH,
            rate: None,
            pace: None,
            ahead: 0,
        }
    }

    fn told(facts: &Facts) -> Constraint {
        facts.constraint(&"acme".parse().unwrap(), &KindName::literal("export"))
    }

    #[test]
    fn of_several_constraints_the_first_in_their_order_is_told() {
        let (job, batch) = (JobId::from_u128(1), BatchId::from_u128(2));
        let rate = Some(Rate { interval: SECOND, burst: 1 });
        let mut facts = Facts {
            state: State::Blocked,
            run_at: at(9),
            jobs: (Some(job), 2),
            batch: (Some(batch), 5),
            paused: [true; 3],
            of_tenant: (4, Some(4)),
            of_lane: (4, Some(4)),
            of_kind: (4, Some(4)),
            bucket: at(1),
            rate,
            ..free()
        };
        assert_eq!(told(&facts), Constraint::Time { until: at(9) });
        facts.run_at = at(0);
        assert_eq!(told(&facts), Constraint::Jobs { first: Some(job), left: 2 });
        facts.jobs = (None, 0);
        assert_eq!(told(&facts), Constraint::Batch { batch, left: 5 });
        (facts.batch, facts.state) = ((None, 0), State::Waiting);
        assert_eq!(told(&facts), Constraint::Paused { scope: Scope::Everything });
        facts.paused[0] = false;
        assert_eq!(told(&facts), Constraint::Paused { scope: Scope::Tenant("acme".parse().unwrap()) });
        facts.paused[1] = false;
        assert_eq!(told(&facts), Constraint::Paused { scope: Scope::Kind(KindName::literal("export")) });
        facts.paused[2] = false;
        assert_eq!(told(&facts), Constraint::TenantRunning { limit: 4 });
        facts.of_tenant = (3, Some(4));
        assert_eq!(told(&facts), Constraint::LaneRunning { limit: 4 });
        facts.of_lane = (3, Some(4));
        assert_eq!(told(&facts), Constraint::KindRunning { limit: 16 }, "all shards together");
        facts.of_kind = (3, Some(4));
        assert_eq!(told(&facts), Constraint::Rate { until: at(1) });
        facts.bucket = at(0);
        assert_eq!(told(&facts), Constraint::Turn);
        for state in [State::Running, State::Completed, State::Cancelled, State::Dead] {
            assert_eq!(told(&Facts { state, paused: [true; 3], ..free() }), Constraint::Nothing);
        }
    }

    #[test]
    fn the_estimate_is_that_of_the_time_the_tokens_or_the_pace() {
        let estimate = |facts: &Facts| facts.estimate(&told(facts));
        assert_eq!(estimate(&free()), None, "nobody knows");
        assert_eq!(estimate(&Facts { state: State::Retrying, run_at: at(7), ..free() }), Some(at(7)));
        // One a second, five at once, and the bucket is empty.
        let rate = Some(Rate { interval: SECOND, burst: 5 });
        let empty = Facts { rate, bucket: at(5), ..free() };
        assert_eq!(estimate(&empty), Some(at(1)));
        assert_eq!(estimate(&Facts { ahead: 9, ..empty }), Some(at(10)));
        // What a slower rate had lent is not waited for.
        assert_eq!(estimate(&Facts { bucket: at(3_600), ..Facts { rate, ..free() } }), Some(at(1)));
        // Every four seconds one.
        let pace = Some(4 * SECOND);
        assert_eq!(estimate(&Facts { pace, ahead: 2, ..free() }), Some(at(12)));
        // A full bucket lets five through; those behind wait for tokens though the lane is fast.
        assert_eq!(estimate(&Facts { pace: Some(1), rate, ahead: 14, ..free() }), Some(at(10)));
        assert_eq!(estimate(&Facts { pace, of_tenant: (1, Some(1)), ..free() }), None);
        assert_eq!(estimate(&Facts { pace, paused: [true; 3], ..free() }), None);
    }
}
