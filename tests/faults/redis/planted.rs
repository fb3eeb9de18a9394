//! Values that somebody has spoilt, in every key in turn. What is one tenant's harms that tenant alone: the others' jobs
//! complete, no call fails, nothing is handed out again and again. What all share may stop them until it is mended, but says
//! which key it is.

use std::{collections::BTreeMap, sync::Arc};

use presswork::{
    domain::{Checkpoint, LaneLimits, NewJob, Rate, State, TenantLimits, Unique, Verdict, Window, WorkerId},
    queue::{Ask, QueueError, Renewal, Retention, redis::RedisQueue},
    store::redis::Redis,
};

use super::{EXPORT, send};
use crate::{
    conformance::queue::{
        World,
        world::{IMPORT, LEASE, dead, done, retry, tenant},
    },
    servers::{fresh_namespace, shared_server},
};

/// Longer than what can't be read is left alone.
const LATER: u64 = 61;
/// Rounds in which everything has to end.
const ROUNDS: usize = 12;

/// Jobs of the good tenant.
const GOOD: usize = 17;

/// What is planted where.
#[derive(Clone, Copy, Debug)]
enum Garbage {
    /// Another type of key.
    Type,
    /// Something else in each of its values.
    Values(&'static [u8]),
    /// Half of each value.
    Halves,
    /// Members that mean nothing.
    Members,
}

const GARBAGE: [Garbage; 8] = [
    Garbage::Type,
    Garbage::Values(b""),
    Garbage::Values(b"\xc1"),
    Garbage::Values(b"\x93\x01\x02\x03"),
    Garbage::Values(b"-1e309"),
    Garbage::Values(&[b'9'; 300_000]),
    Garbage::Halves,
    Garbage::Members,
];

struct Ground {
    world: World,
    namespace: String,
}

impl Ground {
    /// Two tenants with jobs in all states.
    async fn new() -> Self {
        let namespace = fresh_namespace();
        let redis = Redis::connect_with(&shared_server().url(), &namespace, 1).await.unwrap();
        let clock = World::clock();
        let queue = RedisQueue::new(redis, Some(clock.clone()));
        let ground = Self { world: World::new(Arc::new(queue), clock, ()), namespace };
        for name in ["bad", "good"] {
            ground.populate(name).await;
        }
        ground
    }

    async fn populate(&self, name: &str) {
        let (world, whose) = (&self.world, tenant(name));
        let lane = LaneLimits { rate: Some(Rate::per_second(1_000, 50)), max_running: Some(50) };
        let limits =
            TenantLimits { kinds: [(IMPORT, lane)].into(), max_running: Some(60), ..TenantLimits::default() };
        world.limit(&whose, limits).await;
        world.exports(&whose, 6).await;
        let claims = world.claim(6).await;
        let checkpoint = Some(Checkpoint(b"half".as_slice().into()));
        let renewal = Renewal { lease: claims[0].lease.clone(), lease_for: LEASE, checkpoint };
        world.queue.renew(vec![renewal]).await.unwrap();
        let output =
            presswork::domain::Output { result: serde_json::json!({"pages": 7}), artifacts: Vec::new() };
        let verdicts = [Verdict::Done(output), dead(), retry(world.in_seconds(40)), done()];
        let settlements = claims[2..].iter().map(|claim| claim.lease.clone()).zip(verdicts).collect();
        world.queue.settle(settlements).await.unwrap();
        let waiting = world.exports(&whose, 3).await;
        world.many(&whose, &IMPORT, 2).await;
        let key = || "k".parse().unwrap();
        let new = || world.job(&whose, &EXPORT);
        world.submit(NewJob { idempotency_key: Some(key()), ..new() }).await;
        let unique = Unique { key: key(), window: Window::Unfinished };
        world.submit(NewJob { unique: Some(unique), ..new() }).await;
        world.submit(NewJob { run_at: Some(world.in_seconds(45)), ..new() }).await;
        world.submit(NewJob { after: vec![waiting[0]], ..new() }).await;
        let batch = world.open_batch(world.batch(&whose, 1)).await;
        world.submit(NewJob { batch: Some(batch), ..new() }).await;
    }

    /// All keys, without the shard's tag.
    async fn keys(&self) -> Vec<Vec<u8>> {
        let prefix = format!("{{{}:0}}:", self.namespace);
        let pattern = format!("{prefix}*");
        let keys: Vec<Vec<u8>> = send(shared_server().port(), redis::cmd("KEYS").arg(pattern)).await;
        let mut keys: Vec<Vec<u8>> = keys.into_iter().map(|key| key[prefix.len()..].to_vec()).collect();
        keys.sort();
        keys
    }

    async fn redis<T: redis::FromRedisValue>(&self, command: &str, key: &[u8], more: &[&[u8]]) -> T {
        let mut sent = redis::cmd(command);
        let key = [format!("{{{}:0}}:", self.namespace).as_bytes(), key].concat();
        sent.arg(key).arg(more);
        send(shared_server().port(), &sent).await
    }

    /// Whether there was anything to spoil.
    async fn plant(&self, key: &[u8], garbage: Garbage) -> bool {
        let sort: String = self.redis("TYPE", key, &[]).await;
        let spoil = |value: &[u8]| match garbage {
            Garbage::Values(other) => other.to_vec(),
            _ => value[..value.len() / 2].to_vec(),
        };
        match (garbage, &*sort) {
            (Garbage::Type, "string") => {
                let _: i64 = self.redis("DEL", key, &[]).await;
                let _: i64 = self.redis("RPUSH", key, &[b"garbage"]).await;
            }
            (Garbage::Type, _) => {
                let _: String = self.redis("SET", key, &[b"garbage"]).await;
            }
            (Garbage::Values(_) | Garbage::Halves, "hash") => {
                let fields: BTreeMap<Vec<u8>, Vec<u8>> = self.redis("HGETALL", key, &[]).await;
                for (field, value) in fields {
                    let _: i64 = self.redis("HSET", key, &[&field, &spoil(&value)]).await;
                }
            }
            (Garbage::Values(_) | Garbage::Halves, "string") => {
                let value: Vec<u8> = self.redis("GET", key, &[]).await;
                let _: String = self.redis("SET", key, &[&spoil(&value)]).await;
            }
            (Garbage::Values(_) | Garbage::Halves, "list") => {
                let values: Vec<Vec<u8>> = self.redis("LRANGE", key, &[b"0", b"-1"]).await;
                for (place, value) in values.iter().enumerate() {
                    let _: String =
                        self.redis("LSET", key, &[place.to_string().as_bytes(), &spoil(value)]).await;
                }
            }
            (Garbage::Values(_) | Garbage::Halves, "zset" | "set") => {
                let (range, add): (&str, &[&[u8]]) =
                    if sort == "set" { ("SMEMBERS", &[]) } else { ("ZRANGE", &[b"0", b"-1"]) };
                let members: Vec<Vec<u8>> = self.redis(range, key, add).await;
                for member in members {
                    let spoilt = spoil(&member);
                    if sort == "set" {
                        let _: i64 = self.redis("SREM", key, &[&member]).await;
                        let _: i64 = self.redis("SADD", key, &[&spoilt]).await;
                    } else {
                        let _: i64 = self.redis("ZREM", key, &[&member]).await;
                        let _: i64 = self.redis("ZADD", key, &[b"1", &spoilt]).await;
                    }
                }
            }
            (Garbage::Members, "zset") => {
                let more: [&[u8]; 8] = [b"-inf", b"", b"0", b"garbage", b"inf", b"x", b"1", b"export:nobody"];
                let _: i64 = self.redis("ZADD", key, &more).await;
            }
            (Garbage::Members, "set") => {
                let _: i64 = self.redis("SADD", key, &[b"", b"garbage", b"export:nobody"]).await;
            }
            (Garbage::Members, "list") => {
                let _: i64 = self.redis("LPUSH", key, &[b"", b"garbage", &[b'x'; 16]]).await;
            }
            (Garbage::Members, "hash") => {
                let _: i64 = self.redis("HSET", key, &[b"", b"", b"garbage", b"x", &[b'x'; 16], b"y"]).await;
            }
            _ => return false,
        }
        true
    }

    /// Works until everything should have ended; what failed, and how many jobs the last rounds still got.
    async fn work(&self) -> (Vec<QueueError>, usize) {
        let (mut errors, mut late) = (Vec::new(), 0);
        let ask = Ask { kinds: vec![EXPORT, IMPORT], most: 100, lease: LEASE };
        let queue = &self.world.queue;
        for round in 0..ROUNDS {
            match queue.claim(&WorkerId::new("w"), &ask).await {
                Ok(claims) => {
                    late += if round + 3 > ROUNDS { claims.len() } else { 0 };
                    let renew = |lease: &presswork::queue::Lease| Renewal {
                        lease: lease.clone(),
                        lease_for: LEASE,
                        checkpoint: None,
                    };
                    let renewals = claims.iter().map(|claim| renew(&claim.lease)).collect();
                    errors.extend(queue.renew(renewals).await.err());
                    let settlements = claims.into_iter().map(|claim| (claim.lease, done())).collect();
                    errors.extend(queue.settle(settlements).await.err());
                }
                Err(error) => errors.push(error),
            }
            let keep = Retention::before(presswork::domain::Timestamp::EPOCH);
            errors.extend(queue.sweep(&keep).await.err());
            self.world.advance(LATER);
        }
        (errors, late)
    }

    /// The states of the good tenant's jobs.
    async fn good(&self) -> Result<Vec<State>, QueueError> {
        let good = tenant("good");
        let page = self.world.queue.list(&good, &Default::default(), None, 1_000).await?;
        Ok(page.items.into_iter().map(|job| job.state).collect())
    }
}

/// What a key is called, and what was planted there.
fn named(key: &[u8], garbage: Garbage) -> String {
    let text = format!("{} {garbage:?}", String::from_utf8_lossy(key).escape_debug());
    text.chars().take(80).collect()
}

fn is_of(key: &[u8], tenant: &str) -> bool {
    key.windows(tenant.len()).any(|part| part == tenant.as_bytes())
}

#[tokio::test]
async fn what_is_planted_in_a_tenants_keys_harms_that_tenant_alone() {
    let keys = Ground::new().await.keys().await;
    let mut wrong = Vec::new();
    let mut planted = 0;
    for key in keys.iter().filter(|key| is_of(key, "bad")) {
        for garbage in GARBAGE {
            let ground = Ground::new().await;
            if !ground.plant(key, garbage).await {
                continue;
            }
            planted += 1;
            let (errors, late) = ground.work().await;
            let good = ground.good().await.unwrap();
            let ended = good.iter().filter(|state| state.is_final()).count();
            if !errors.is_empty() || late > 0 || (good.len(), ended) != (GOOD, GOOD) {
                wrong.push(format!(
                    "{}: {ended} of {} good, {late} late, {errors:?}",
                    named(key, garbage),
                    good.len()
                ));
            }
        }
    }
    assert!(planted > 80, "{planted}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_is_planted_in_a_key_that_all_share_is_told_and_once_it_is_gone_all_goes_on() {
    let keys = Ground::new().await.keys().await;
    let mut wrong = Vec::new();
    for key in keys.iter().filter(|key| !is_of(key, "bad") && !is_of(key, "good")) {
        for garbage in [Garbage::Type, Garbage::Members] {
            let ground = Ground::new().await;
            if !ground.plant(key, garbage).await {
                continue;
            }
            let (errors, late) = ground.work().await;
            let named = named(key, garbage);
            if let Garbage::Members = garbage {
                // Nothing of value was lost: all goes on, at the latest when what was planted has been stepped over.
                let good = ground.good().await.unwrap();
                let ended = good.iter().filter(|state| state.is_final()).count();
                if late > 0 || (good.len(), ended) != (GOOD, GOOD) {
                    wrong.push(format!("{named}: {ended} of {} good, {late} late, {errors:?}", good.len()));
                }
            } else {
                let other = errors.iter().find(|error| !matches!(error, QueueError::Corrupt(_)));
                if let Some(other) = other {
                    wrong.push(format!("{named}: {other:?}"));
                }
                let _: i64 = ground.redis("DEL", key, &[]).await;
                let (errors, _) = ground.work().await;
                if !errors.is_empty() {
                    wrong.push(format!("{named}, removed: {errors:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_job_that_can_not_be_read_is_dead_and_its_tenant_goes_on() {
    for garbage in [Garbage::Values(b""), Garbage::Values(b"\xc1"), Garbage::Halves] {
        let ground = Ground::new().await;
        let bad = tenant("bad");
        let page = ground.world.queue.list(&bad, &Default::default(), None, 1_000).await.unwrap();
        let waiting = page.items.iter().filter(|job| job.state == State::Waiting).count();
        assert!(ground.plant(b"job:bad", garbage).await);
        let fresh = ground.world.exports(&bad, 1).await;
        let (errors, late) = ground.work().await;
        assert!(errors.is_empty() && late == 0, "{errors:?}");
        let stats = ground.world.queue.stats(Some(&bad)).await.unwrap();
        let of = |state| usize::try_from(stats.count(state)).unwrap();
        assert!(of(State::Dead) > waiting, "{garbage:?}: {waiting} waited, and one was dead: {stats:?}");
        for state in [State::Waiting, State::Running, State::Retrying, State::Scheduled] {
            assert_eq!(of(state), 0, "{garbage:?}: {state}");
        }
        assert_eq!(ground.world.state(&bad, fresh[0]).await, State::Completed);
    }
}
