//! A job given by the script is the job that Rust would have given.

use presswork::{
    domain::{BatchId, Job, NewBatch, NewJob, Payload, Priority, Timestamp, Unique, Window},
    queue::Queue as _,
};
use redis::{FromRedisValue as _, cmd};
use serde_json::json;

use crate::{
    servers::{fresh_namespace, shared_cluster, shared_redis, shared_server},
    way::{Way, new_id, plain, uuid, written},
};

fn batch() -> BatchId {
    BatchId::from_u128(7)
}

/// Jobs with everything that a job may have; the later ones wait for the first.
fn jobs() -> Vec<NewJob> {
    let first = plain();
    let after = vec![first.id];
    let key = |text: &str| text.parse().unwrap();
    vec![
        first,
        plain(),
        NewJob { priority: Priority::Urgent, ..plain() },
        NewJob { priority: Priority::Low, cost: 1_000_000, max_attempts: u32::MAX, ..plain() },
        NewJob { payload: Payload { version: u16::MAX, bytes: vec![b'"', 0, 255, 10].into() }, ..plain() },
        NewJob { run_at: Some(Timestamp::from_micros(4_000_000_000_123_456)), ..plain() },
        NewJob { run_at: Some(Timestamp::from_micros(1_000_000)), ..plain() },
        NewJob { idempotency_key: Some(key("!order/4711~")), ..plain() },
        NewJob { idempotency_key: Some("k".repeat(200).parse().unwrap()), ..plain() },
        NewJob { unique: Some(Unique { key: key("novel"), window: Window::Waiting }), ..plain() },
        NewJob { unique: Some(Unique { key: key("other"), window: Window::Unfinished }), ..plain() },
        NewJob { after: after.repeat(3), ..plain() },
        NewJob {
            kind: "a".repeat(64).parse().unwrap(),
            batch: Some(batch()),
            after,
            idempotency_key: Some(key("all")),
            unique: Some(Unique { key: key("all"), window: Window::Unfinished }),
            ..plain()
        },
    ]
}

/// What differs between two moments of acceptance is made the same.
fn timeless(mut job: Job) -> Job {
    if job.run_at == job.created_at {
        job.run_at = Timestamp::EPOCH;
    }
    job.created_at = Timestamp::EPOCH;
    job
}

/// Every key below a namespace with its type and size, without the namespace.
async fn keys(way: &Way) -> Vec<String> {
    let tag = way.redis.tag(0);
    let found = way.redis.command(cmd("KEYS").arg(format!("{tag}*"))).await.unwrap();
    let mut all = Vec::new();
    for key in Vec::<Vec<u8>>::from_redis_value(found).unwrap() {
        let kind = way.redis.command(cmd("TYPE").arg(&key)).await.unwrap();
        let kind = String::from_redis_value(kind).unwrap();
        let size = match kind.as_str() {
            "hash" => "HLEN",
            "zset" => "ZCARD",
            "set" => "SCARD",
            "list" => "LLEN",
            "stream" => "XLEN",
            _ => "STRLEN",
        };
        let size = i64::from_redis_value(way.redis.command(cmd(size).arg(&key)).await.unwrap()).unwrap();
        all.push(format!("{} {kind} {size}", key[tag.len()..].escape_ascii()));
    }
    all.sort();
    all
}

async fn a_job_of_the_script_is_the_job_of_rust(rust: Way, script: Way) {
    let jobs = jobs();
    let open = NewBatch { id: batch(), tenant: plain().tenant, size: 3, callback: None };
    rust.queue.open_batch(open.clone()).await.unwrap().unwrap();
    script.queue.open_batch(open).await.unwrap().unwrap();

    for answer in rust.queue.enqueue(jobs.clone()).await.unwrap() {
        answer.unwrap();
    }
    let given: Vec<_> = jobs.iter().map(|job| (written(job), &job.payload.bytes[..])).collect();
    for (answer, job) in script.enqueue(&given).await.unwrap().iter().zip(&jobs) {
        assert_eq!(*answer, json!({ "status": "accepted", "job": job.id }));
    }

    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let tenant = &jobs[0].tenant;
    let one = rust.queue.inspect(tenant, &ids).await.unwrap();
    let other = script.queue.inspect(tenant, &ids).await.unwrap();
    for (one, other) in one.into_iter().zip(other) {
        assert_eq!(timeless(one.unwrap()), timeless(other.unwrap()));
    }
    assert_eq!(
        rust.queue.batch(tenant, batch()).await.unwrap().map(|batch| batch.enqueued),
        script.queue.batch(tenant, batch()).await.unwrap().map(|batch| batch.enqueued),
    );
    let without_time = |mut stats: presswork::queue::Stats| {
        stats.lanes.iter_mut().for_each(|lane| lane.oldest_waiting = None);
        stats
    };
    assert_eq!(
        without_time(rust.queue.stats(None).await.unwrap()),
        without_time(script.queue.stats(None).await.unwrap())
    );

    // Given again, they are there already.
    for (answer, job) in script.enqueue(&given).await.unwrap().iter().zip(&jobs) {
        assert_eq!(*answer, json!({ "status": "duplicate", "job": job.id }));
    }
    // And a Rust producer finds them.
    for answer in script.queue.enqueue(jobs).await.unwrap() {
        assert!(matches!(answer, Ok(presswork::queue::Enqueued::Duplicate(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_job_given_by_the_script_is_the_one_that_rust_gives() {
    let ways = [Way::over(shared_redis().await), Way::over(shared_redis().await)];
    let [rust, script] = ways;
    a_job_of_the_script_is_the_job_of_rust(rust, script).await;
}

#[tokio::test]
async fn the_script_leaves_the_same_keys_behind_as_rust() {
    let (rust, script) = (Way::over(shared_redis().await), Way::over(shared_redis().await));
    let jobs: Vec<NewJob> = jobs().into_iter().filter(|job| job.batch.is_none()).collect();
    rust.queue.enqueue(jobs.clone()).await.unwrap();
    let given: Vec<_> = jobs.iter().map(|job| (written(job), &job.payload.bytes[..])).collect();
    script.enqueue(&given).await.unwrap();
    assert_eq!(keys(&rust).await, keys(&script).await);
}

#[tokio::test]
async fn on_a_cluster_a_job_given_by_the_script_is_the_one_that_rust_gives() {
    a_job_of_the_script_is_the_job_of_rust(
        Way::over(shared_cluster().await),
        Way::over(shared_cluster().await),
    )
    .await;
}

#[tokio::test]
async fn on_several_shards_each_tenant_is_found_where_its_name_says() {
    let several = presswork::store::redis::Redis::connect_with(&shared_server().url(), &fresh_namespace(), 5)
        .await
        .unwrap();
    let way = Way::over(several);
    for tenant in ["acme", "bolt", "a", "zebra-9"] {
        let job = NewJob { tenant: tenant.parse().unwrap(), ..plain() };
        assert_eq!(way.enqueue_one(written(&job)).await["status"], "accepted");
        let found = way.queue.inspect(&job.tenant, &[job.id]).await.unwrap();
        assert_eq!(found[0].as_ref().unwrap().id, job.id);
    }
}

#[tokio::test]
async fn the_same_key_or_unique_key_is_answered_with_the_first_job() {
    let way = Way::over(shared_redis().await);
    for more in [
        json!({ "idempotency_key": "k" }),
        json!({ "unique": { "key": "u", "window": "waiting" }, "idempotency_key": null }),
    ] {
        let job = |id: String| {
            let mut job = json!({ "id": id, "tenant": "acme", "kind": "export" });
            job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            job
        };
        let (first, second) = (new_id(), new_id());
        assert_eq!(way.enqueue_one(job(uuid(first))).await, json!({ "status": "accepted", "job": first }));
        let again = way.enqueue_one(job(uuid(second).to_uppercase())).await;
        assert_eq!(again, json!({ "status": "duplicate", "job": first }));
    }
}

#[tokio::test]
async fn a_delay_counts_from_the_servers_now() {
    let way = Way::over(shared_redis().await);
    let job = plain();
    let mut asked = written(&job);
    asked["delay"] = json!(3_600.5);
    assert_eq!(way.enqueue_one(asked).await["status"], "accepted");
    let found = way.queue.inspect(&job.tenant, &[job.id]).await.unwrap().remove(0).unwrap();
    assert_eq!(found.run_at.as_micros() - found.created_at.as_micros(), 3_600_500_000);
    assert_eq!(found.state, presswork::domain::State::Scheduled);
}

#[tokio::test]
async fn a_thousand_jobs_come_in_by_one_call_in_their_order() {
    let way = Way::over(shared_redis().await);
    let jobs: Vec<NewJob> = (0..1_000).map(|_| plain()).collect();
    let given: Vec<_> = jobs.iter().map(|job| (written(job), &b"{}"[..])).collect();
    assert!(way.enqueue(&given).await.unwrap().iter().all(|answer| answer["status"] == "accepted"));
    let filter = presswork::queue::Filter::default();
    let page = way.queue.list(&jobs[0].tenant, &filter, None, 1_000).await.unwrap();
    let mut listed: Vec<_> = page.items.iter().map(|job| job.id).collect();
    listed.reverse();
    assert_eq!(listed, jobs.iter().map(|job| job.id).collect::<Vec<_>>());
}
