//! Nothing stays for ever.

use std::time::Duration;

use super::*;
use crate::queue::Retention;

#[tokio::test]
async fn a_sweep_leaves_no_row_of_what_has_gone() {
    let world = World::new();
    for whose in ["acme", "beta"] {
        world.enqueue(whose, 3).await;
    }
    world.finish(world.claim(10).await).await;
    world.clock.advance(Duration::from_secs(1));
    let end = Timestamp::from_micros(i64::MAX);
    assert_eq!(world.queue.sweep(&Retention::before(end)).await.unwrap().removed, 6);
    assert_eq!(world.queue.sweep(&Retention::before(end)).await.unwrap(), Default::default());
    for table in [
        "SELECT count(*) FROM jobs",
        "SELECT count(*) FROM payloads",
        "SELECT count(*) FROM checkpoints",
        "SELECT count(*) FROM events",
        "SELECT count(*) FROM lanes",
        "SELECT count(*) FROM tenants",
        "SELECT count(*) FROM kinds",
    ] {
        assert_eq!(world.number(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_lane_whose_bucket_is_not_full_is_kept() {
    let world = World::new();
    world.limit("acme", rate("1/h:1")).await;
    world.enqueue("acme", 1).await;
    world.finish(world.claim(10).await).await;
    let end = Timestamp::from_micros(i64::MAX);
    assert_eq!(world.queue.sweep(&Retention::before(end)).await.unwrap().removed, 1);
    assert_eq!(world.number("SELECT count(*) FROM lanes").await, 1);
    world.enqueue("acme", 1).await;
    assert!(world.claim(1).await.is_empty());
}

#[tokio::test]
async fn counters_agree_with_the_rows() {
    let world = World::new();
    world.enqueue("acme", 20).await;
    let ids: Vec<_> = world.jobs("acme", 5).iter().map(|job| job.id).collect();
    let claims = world.claim(12).await;
    let running: Vec<_> = claims.iter().map(|claim| claim.job.id).collect();
    let at = Timestamp::from_millis(1_800_000_000_500);
    let verdict = |place: usize| match place % 4 {
        0 => Verdict::Done(Output::default()),
        1 => Verdict::Snooze { until: at },
        2 => Verdict::Retry { at, reason: crate::domain::Reason::new("down") },
        _ => Verdict::Dead(crate::domain::Reason::new("bad")),
    };
    let settle = claims.into_iter().take(8).enumerate().map(|(place, claim)| (claim.lease, verdict(place)));
    world.queue.settle(settle.collect()).await.unwrap();
    world.queue.cancel(&tenant("acme"), &running).await.unwrap();
    world.queue.requeue(&tenant("acme"), &running[..4]).await.unwrap();
    world.queue.cancel(&tenant("acme"), &ids).await.unwrap();
    world.clock.advance(Duration::from_secs(31));
    world.claim(2).await;
    for sql in [
        "SELECT count(*) FROM lanes WHERE waiting <> (SELECT count(*) FROM jobs WHERE state = 'waiting')",
        "SELECT count(*) FROM lanes WHERE dead <> (SELECT count(*) FROM jobs WHERE state = 'dead')",
        "SELECT count(*) FROM lanes WHERE cancelled <> (SELECT count(*) FROM jobs WHERE state = 'cancelled')",
        "SELECT count(*) FROM lanes WHERE jobs <> (SELECT count(*) FROM jobs)",
        "SELECT count(*) FROM kinds WHERE running <> (SELECT count(*) FROM jobs WHERE state = 'running')",
        "SELECT count(*) FROM tenants WHERE running <> (SELECT count(*) FROM jobs WHERE state = 'running')",
        "SELECT count(*) FROM tenants WHERE (waiting, waiting_bytes) <> (SELECT count(*), sum(payload_bytes)
            FROM jobs WHERE state IN ('scheduled', 'waiting', 'blocked', 'retrying'))",
    ] {
        assert_eq!(world.number(sql).await, 0, "{sql}");
    }
}
