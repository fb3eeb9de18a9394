//! Nothing stays for ever.

use std::time::Duration;

use super::*;
use crate::{
    domain::{BatchId, NewBatch, Unique},
    queue::{Opened, Retention},
};

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

/// A batch with a callback, of which one job waits for the other; both are of a unique key.
async fn tied(world: &World) -> [JobId; 3] {
    let [callback, first, second] = <[NewJob; 3]>::try_from(world.jobs("acme", 3)).unwrap();
    let ids = [callback.id, first.id, second.id];
    let (id, tenant) = (BatchId::from_u128(9), tenant("acme"));
    let batch = NewBatch { id, tenant, size: 2, callback: Some(callback) };
    assert_eq!(world.queue.open_batch(batch).await.unwrap(), Ok(Opened::Now));
    let unique =
        |key: &str| Some(Unique { key: key.parse().unwrap(), window: crate::domain::Window::Waiting });
    let second = NewJob { after: vec![first.id], batch: Some(id), unique: unique("b"), ..second };
    let first = NewJob { batch: Some(id), unique: unique("a"), ..first };
    assert!(world.queue.enqueue(vec![first, second]).await.unwrap().iter().all(Result::is_ok));
    ids
}

#[tokio::test]
async fn ties_go_with_the_jobs_that_had_them() {
    let world = World::new();
    let waits = "SELECT count(*) FROM waits";
    // Once to a good end, once with the dependency removed uncompleted.
    tied(&world).await;
    assert_eq!(world.number(waits).await, 1);
    for _ in 0..3 {
        world.finish(world.claim(1).await).await;
    }
    assert_eq!(world.number(waits).await, 0);
    let end = Timestamp::from_micros(i64::MAX);
    let removed = world.queue.sweep(&Retention::before(end)).await.unwrap().removed;
    assert_eq!(removed, 4, "three jobs and the batch");
    let [_, first, _] = tied(&world).await;
    world.queue.cancel(&tenant("acme"), &[first]).await.unwrap();
    let mut removed = 0;
    for _ in 0..3 {
        removed += world.queue.sweep(&Retention::before(end)).await.unwrap().removed;
        world.finish(world.claim(1).await).await;
    }
    assert_eq!(removed, 4);
    for table in
        [waits, "SELECT count(*) FROM batches", "SELECT count(*) FROM jobs", "SELECT count(*) FROM tenants"]
    {
        assert_eq!(world.number(table).await, 0, "{table}");
    }
}

/// A job with as many dependents as may be: a sweep does not remove five hundred such in one go.
#[tokio::test]
async fn a_sweep_that_cancels_many_removes_few() {
    let world = World::new();
    let firsts = world.jobs("acme", 3);
    let ids: Vec<JobId> = firsts.iter().map(|job| job.id).collect();
    world.queue.enqueue(firsts).await.unwrap();
    for id in &ids {
        let after = |job| NewJob { after: vec![*id], ..job };
        let jobs = world.jobs("acme", NewJob::MOST_DEPENDENTS).into_iter().map(after).collect();
        assert!(world.queue.enqueue(jobs).await.unwrap().iter().all(Result::is_ok));
    }
    world.queue.cancel(&tenant("acme"), &ids).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let retention = Retention::before(Timestamp::from_millis(1_800_000_001_000));
    for _ in 0..3 {
        assert_eq!(world.queue.sweep(&retention).await.unwrap().removed, 1);
    }
    assert_eq!(world.number("SELECT count(*) FROM jobs WHERE state = 'cancelled'").await, 3_000);
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let first = Migrations { module: MIGRATIONS.module, steps: &MIGRATIONS.steps[..1] };
    let old = Database::open(&path, &[first, SqliteProgress::MIGRATIONS]).unwrap();
    let insert = |connection: &Connection| {
        connection.execute_batch(
            "INSERT INTO tenants (name, lanes) VALUES ('acme', 2), ('bolt', 0);
             INSERT INTO lanes (tenant, kind, tag, jobs, completed, dead)
                VALUES ('acme', 'export', 0, 3, 2, 1), ('acme', 'import', 0, 4, 4, 0);",
        )
    };
    old.write(insert).await.unwrap();
    drop(old);
    let database = Database::open(&path, &TABLES).unwrap();
    let finished = |connection: &Connection| {
        connection.query_row("SELECT group_concat(name || finished ORDER BY name) FROM tenants", [], |row| {
            row.get(0)
        })
    };
    let finished: String = database.read(finished).await.unwrap();
    assert_eq!(finished, "acme7,bolt0");
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
        "SELECT count(*) FROM tenants WHERE finished <> (SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL)",
        "SELECT count(*) FROM kinds WHERE running <> (SELECT count(*) FROM jobs WHERE state = 'running')",
        "SELECT count(*) FROM tenants WHERE running <> (SELECT count(*) FROM jobs WHERE state = 'running')",
        "SELECT count(*) FROM tenants WHERE (waiting, waiting_bytes) <> (SELECT count(*), sum(payload_bytes)
            FROM jobs WHERE state IN ('scheduled', 'waiting', 'blocked', 'retrying'))",
    ] {
        assert_eq!(world.number(sql).await, 0, "{sql}");
    }
}
