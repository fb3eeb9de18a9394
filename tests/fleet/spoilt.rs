//! Values that somebody has planted in the queue's keys: what they spoil is told or dead, and nothing else.

use std::time::Duration;

use presswork::{
    domain::{NewJob, State},
    queue::{Enqueued, Retention, Settled},
};

use super::{Fleet, stored};
use crate::conformance::queue::world::{EXPORT, LEASE, done, retry, tenant};

#[tokio::test]
async fn a_waiting_job_that_can_not_be_read_is_dead_and_its_neighbours_run() {
    let fleet = Fleet::of(1).await;
    let (world, acme) = (&fleet.world, tenant("acme"));
    let ids = world.exports(&acme, 5).await;
    fleet.send("HSET", "job:acme", &[&stored(ids[0]), b"poison"]).await;
    fleet.send("HSET", "run:acme", &[&stored(ids[1]), b"\xc1poison"]).await;
    fleet.send("HDEL", "job:acme", &[&stored(ids[2])]).await;
    assert_eq!(world.claim_ids(9).await, ids[3..]);
    let dead = world.inspect(&acme, ids[1]).await;
    assert_eq!(dead.state, State::Dead);
    assert!(dead.reason.unwrap().as_str().contains("can not be read"));
    assert_eq!(world.look(&acme, ids[2]).await, None);
    let stats = world.queue.stats(Some(&acme)).await.unwrap();
    assert_eq!((stats.count(State::Waiting), stats.count(State::Running)), (0, 2));
    assert_eq!(stats.count(State::Dead), 2);
}

#[tokio::test]
async fn a_body_that_only_scripts_can_read_is_dead_and_never_handed_out() {
    let fleet = Fleet::of(1).await;
    let (world, acme) = (&fleet.world, tenant("acme"));
    let ids = world.exports(&acme, 2).await;
    // The header is whole, but no kind has such a name.
    let mut body = vec![0; 16];
    body.extend([1, 0, 35, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 3]);
    body.extend(b"A/B{}");
    fleet.send("HSET", "job:acme", &[&stored(ids[0]), &body]).await;
    assert_eq!(world.claim_ids(9).await, ids[1..]);
    assert_eq!(world.claim_ids(9).await, []);
    let stats = world.queue.stats(Some(&acme)).await.unwrap();
    assert_eq!((stats.count(State::Running), stats.count(State::Dead)), (1, 1));
}

#[tokio::test]
async fn a_running_job_that_can_not_be_read_is_dead_once_its_lease_has_lapsed() {
    let fleet = Fleet::of(1).await;
    let (world, acme) = (&fleet.world, tenant("acme"));
    let ids = world.exports(&acme, 2).await;
    let claims = world.claim(2).await;
    fleet.send("HSET", "run:acme", &[&stored(ids[0]), b"poison"]).await;
    let leases = claims.iter().map(|claim| (claim.lease.clone(), done())).collect();
    let settled = world.queue.settle(leases).await.unwrap();
    assert_eq!(settled, [Settled::LeaseLost, Settled::Now(State::Completed)]);
    world.clock.advance(LEASE);
    world.sweep(world.now().before(Duration::from_secs(3_600))).await;
    assert_eq!(world.state(&acme, ids[0]).await, State::Dead);
    world.advance(1);
    assert_eq!(world.sweep(world.now()).await, 2);
    assert_eq!(world.queue.stats(None).await.unwrap().lanes, []);
}

#[tokio::test]
async fn a_tenant_whose_keys_are_of_another_type_stops_and_nobody_else() {
    let keys = [
        "job:bad",
        "run:bad",
        "lane:export:bad",
        "lane:export:bad:2",
        "lane:export:bad:back2",
        "tenant:bad",
        "index:bad",
        "ended:bad",
        "out:bad",
        "check:bad",
        "held:bad",
    ];
    for key in keys {
        let fleet = Fleet::of(1).await;
        let (world, bad, good) = (&fleet.world, tenant("bad"), tenant("good"));
        world.exports(&bad, 3).await;
        world.exports(&good, 3).await;
        let running = world.claim(4).await;
        fleet.send("DEL", key, &[]).await;
        fleet.send("SET", key, &[b"poison"]).await;
        // Whatever becomes of the bad one's, all of the good one's jobs are accepted, run, fail, lapse, and end.
        let job = world.job(&good, &EXPORT);
        let id = job.id;
        let answers = world.enqueue(vec![world.job(&bad, &EXPORT), job]).await;
        assert_eq!(answers[1], Ok(Enqueued::Accepted(id)), "{key}");
        let verdicts: Vec<_> =
            running.iter().map(|claim| (claim.lease.clone(), retry(world.in_seconds(1)))).collect();
        let settled = world.queue.settle(verdicts).await.unwrap();
        for (claim, settled) in running.iter().zip(settled) {
            assert!(claim.job.tenant == bad || settled == Settled::Now(State::Retrying), "{key}");
        }
        world.advance(1);
        let mut claims = world.claim(9).await;
        claims.retain(|claim| claim.job.tenant == good);
        assert_eq!(claims.len(), 4, "{key}");
        world.clock.advance(LEASE);
        let mut again = world.claim(9).await;
        again.retain(|claim| claim.job.tenant == good);
        assert_eq!(again.len(), 4, "{key}");
        world.finish(&again).await;
        world.advance(1);
        for _ in 0..3 {
            world.queue.sweep(&Retention::before(world.now())).await.unwrap();
        }
        assert_eq!(world.look(&good, id).await, None, "{key}");
    }
}

#[tokio::test]
async fn an_id_twice_in_a_lane_is_handed_out_once() {
    let fleet = Fleet::of(1).await;
    let (world, acme) = (&fleet.world, tenant("acme"));
    let ids = world.exports(&acme, 2).await;
    fleet.send("RPUSH", "lane:export:acme:2", &[&stored(ids[0]), &stored(ids[1])]).await;
    fleet.send("LPUSH", "lane:export:acme:2", &[&stored(ids[1])]).await;
    let mut claimed = world.claim_ids(9).await;
    claimed.sort();
    assert_eq!(claimed, ids);
    let later = world.submit(NewJob { cost: 2, ..world.job(&acme, &EXPORT) }).await;
    assert_eq!(world.claim_ids(9).await, [later]);
}

#[tokio::test]
async fn a_delayed_job_that_can_not_be_read_is_dead_at_its_time_and_its_neighbours_run() {
    let fleet = Fleet::of(1).await;
    let (world, acme) = (&fleet.world, tenant("acme"));
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(
            world.submit(NewJob { run_at: Some(world.in_seconds(5)), ..world.job(&acme, &EXPORT) }).await,
        );
    }
    fleet.send("HSET", "run:acme", &[&stored(ids[0]), b"poison"]).await;
    // Of this one nothing is left that could be read.
    fleet.send("HSET", "run:acme", &[&stored(ids[1]), b"poison"]).await;
    fleet.send("HSET", "job:acme", &[&stored(ids[1]), b"poison"]).await;
    world.advance(5);
    // Of those that are due at one moment any may go first.
    let claimed = world.claim_ids(9).await;
    assert!(claimed.len() == 2 && ids[2..].iter().all(|id| claimed.contains(id)), "{claimed:?}");
    let dead = world.inspect(&acme, ids[0]).await;
    assert_eq!(dead.state, State::Dead);
    assert!(dead.reason.unwrap().as_str().contains("could not be read"));
    assert_eq!(world.claim_ids(9).await, []);
}

#[tokio::test]
async fn leases_that_make_no_sense_stop_nobody() {
    let fleet = Fleet::of(1).await;
    let (world, acme) = (&fleet.world, tenant("acme"));
    for (key, arguments) in [
        ("lease", [b"0".as_slice(), b"no number"]),
        ("lease", [b"0".as_slice(), b""]),
        ("lease", [b"0".as_slice(), b"77"]),
    ] {
        fleet.send("ZADD", key, &arguments).await;
    }
    fleet.send("SET", "leased:77", &[b"poison"]).await;
    let ids = world.exports(&acme, 2).await;
    let claims = world.claim(9).await;
    assert_eq!(claims.len(), ids.len());
    world.finish(&claims).await;
    world.advance(1);
    assert_eq!(world.sweep(world.now()).await, 2);
    assert_eq!(fleet.ask("EXISTS", "lease", &[]).await, redis::Value::Int(0));
    assert_eq!(fleet.ask("EXISTS", "leased:77", &[]).await, redis::Value::Int(0));
}
