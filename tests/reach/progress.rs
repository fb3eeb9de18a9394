//! Progress on Redis, beyond what every engine promises: what other programs hear, outages, values that somebody has
//! spoilt.

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt as _, TryStreamExt as _};
use presswork::{
    domain::{Event, EventBody, Progress, TenantId},
    progress::Publication,
    queue::Lease,
    store::redis::channels::News,
};

use super::*;
use crate::{
    conformance::{
        jobs::ProgressWorld,
        progress::Jobs as _,
        redis::{progress_in, progress_on},
    },
    servers::{shared_cluster_server, shared_server},
};

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn text(text: impl ToString) -> EventBody {
    EventBody::Text { text: text.to_string() }
}

fn publication(lease: &Lease, body: EventBody) -> Publication {
    Publication { tenant: lease.tenant.clone(), job: lease.job, epoch: lease.epoch, body }
}

async fn publish(world: &ProgressWorld, lease: &Lease, bodies: impl IntoIterator<Item = EventBody>) {
    let publications = bodies.into_iter().map(|body| publication(lease, body)).collect();
    world.bus.publish(publications).await.unwrap();
}

async fn kept(world: &ProgressWorld, lease: &Lease) -> Vec<Event> {
    world.bus.replay(&lease.tenant, lease.job, 0, usize::MAX).await.unwrap()
}

fn are_numbered(events: &[Event]) -> bool {
    events.iter().map(|event| event.sequence).eq(1..=events.len() as u64)
}

/// The key of a job's stream, whose name is the first part.
fn key(redis: &Redis, name: &str, lease: &Lease) -> Vec<u8> {
    let tag = redis.tag(redis.shard(&lease.tenant));
    [format!("{tag}:{name}:{}:", lease.tenant).as_bytes(), &lease.job.as_u128().to_be_bytes()].concat()
}

#[tokio::test]
async fn what_is_told_on_the_channel_is_the_event_as_json() {
    for (url, in_cluster) in [(shared_server().url(), false), (shared_cluster_server().url(), true)] {
        let namespace = fresh_namespace();
        let world = progress_in(&url, &namespace, 3).await;
        let redis = Redis::connect_with(&url, &namespace, 3).await.unwrap();
        let tag = redis.tag(redis.shard(&acme()));
        let channel = if in_cluster {
            format!("{namespace}:progress:{tag}:acme")
        } else {
            format!("{namespace}:progress:acme")
        };
        let (told, heard) = tokio::sync::mpsc::unbounded_channel();
        let listener = move |news: News<'_>| {
            if let News::Message(message) = news {
                told.send(serde_json::from_slice::<serde_json::Value>(message).unwrap()).unwrap();
            }
        };
        let _ear = redis.channels().listen(channel.as_bytes(), Arc::new(listener)).await.unwrap();
        let lease = world.jobs.start(&acme()).await;
        let progress = Progress {
            done: 3,
            total: 9,
            percent: 33.3,
            message: "\"percent\":0.0 / \u{1F4D6}\\".to_owned(),
            remaining_seconds: Some(7),
        };
        let bodies = [
            EventBody::Progress(progress.clone()),
            text("line\n\u{2028}\u{0}\"}"),
            EventBody::Progress(progress),
        ];
        publish(&world, &lease, bodies).await;
        world.jobs.end(&lease).await;
        let kept = kept(&world, &lease).await;
        assert!(are_numbered(&kept) && kept.len() >= 5, "{kept:?}");
        let heard: Vec<_> = stream_of(heard).take(kept.len()).collect().await;
        let expected: Vec<_> = kept.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
        assert_eq!(heard, expected);
    }
}

fn stream_of<T>(mut inbox: tokio::sync::mpsc::UnboundedReceiver<T>) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::poll_fn(move |context| inbox.poll_recv(context))
}

#[tokio::test]
async fn more_changes_of_state_than_a_record_holds_are_kept_all_the_same() {
    let world = progress_on(&shared_server().url(), 1).await;
    let mut lease = world.jobs.start(&acme()).await;
    for round in 0..30 {
        if round % 7 == 0 {
            publish(&world, &lease, [text(round)]).await;
        }
        lease = world.jobs.doze(&lease).await;
    }
    world.jobs.end(&lease).await;
    let kept = kept(&world, &lease).await;
    assert!(are_numbered(&kept) && kept.len() > 60, "{} events", kept.len());
    let followed: Vec<_> =
        world.bus.follow(&acme(), lease.job, 0).await.unwrap().try_collect().await.unwrap();
    assert_eq!(followed, kept);
}

#[tokio::test]
async fn a_spoilt_job_harms_no_other() {
    let namespace = fresh_namespace();
    let world = progress_in(&shared_server().url(), &namespace, 1).await;
    let redis = Redis::connect_with(&shared_server().url(), &namespace, 1).await.unwrap();
    let (spoilt, lost, well) =
        (world.jobs.start(&acme()).await, world.jobs.start(&acme()).await, world.jobs.start(&acme()).await);
    redis.command(cmd("SET").arg(key(&redis, "events", &spoilt)).arg("x")).await.unwrap();
    let records = format!("{}:run:acme", redis.tag(0));
    let id = lost.job.as_u128().to_be_bytes();
    redis.command(cmd("HSET").arg(&records).arg(&id).arg(b"\x93garbage")).await.unwrap();
    let batch = [&spoilt, &lost, &well].map(|lease| publication(lease, text("a"))).to_vec();
    world.bus.publish(batch).await.unwrap();
    for lease in [&spoilt, &well] {
        let kept = kept(&world, lease).await;
        assert!(are_numbered(&kept) && kept.last().unwrap().body == text("a"), "{kept:?}");
    }
    // An entry that is no event.
    let planted = key(&redis, "events", &well);
    redis
        .command(cmd("XADD").arg(&planted).arg("99999-0").arg("a").arg("1").arg("b").arg("}{"))
        .await
        .unwrap();
    assert_eq!(kept(&world, &well).await.last().unwrap().body, text("a"));
    publish(&world, &well, [text("b")]).await;
    assert_eq!(kept(&world, &well).await.last().unwrap().body, text("b"));
}

/// More of it than a page holds.
#[tokio::test]
async fn followers_get_past_what_is_no_event() {
    let namespace = fresh_namespace();
    let world = progress_in(&shared_server().url(), &namespace, 1).await;
    let redis = Redis::connect_with(&shared_server().url(), &namespace, 1).await.unwrap();
    let lease = world.jobs.start(&acme()).await;
    publish(&world, &lease, (0..400).map(text)).await;
    let (stream, all) = (key(&redis, "events", &lease), kept(&world, &lease).await);
    redis.command(cmd("DEL").arg(&stream)).await.unwrap();
    for event in &all[1..] {
        let body = if event.body == text(399) { r#""type":"text","text":"399""# } else { "}{" };
        for place in ["0", "7"] {
            let id = format!("{}-{place}", event.sequence);
            redis
                .command(cmd("XADD").arg(&stream).arg(id).arg("a").arg("1").arg("b").arg(body))
                .await
                .unwrap();
        }
    }
    let mut followed = world.bus.follow(&acme(), lease.job, 1).await.unwrap();
    assert_eq!(followed.next().await.unwrap().unwrap().body, text(399));
    world.jobs.end(&lease).await;
    let rest: Vec<_> = followed.map_ok(|event| event.body.is_last()).try_collect().await.unwrap();
    assert_eq!(rest, [true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_go_on_after_an_outage_and_miss_nothing() {
    let mut server = RedisServer::start_durable();
    let world = progress_on(&server.url(), 1).await;
    let lease = world.jobs.start(&acme()).await;
    publish(&world, &lease, [text("before")]).await;
    let followed = Arc::new(Mutex::new(Vec::new()));
    let follower = tokio::spawn({
        let stream = world.elsewhere.follow(&acme(), lease.job, 0).await.unwrap();
        let followed = followed.clone();
        stream.try_for_each(move |event| {
            followed.lock().unwrap().push(event);
            futures_util::future::ready(Ok(()))
        })
    });
    for round in 0..3 {
        server.restart();
        until_it_works(|| async {
            let published = world.bus.publish(vec![publication(&lease, text(round))]).await;
            published.map_err(|error| RedisError::from(std::io::Error::other(error)))
        })
        .await;
    }
    until_it_works(|| async {
        let ended = world.jobs.try_end(&lease).await;
        ended.map_err(|error| RedisError::from(std::io::Error::other(error)))
    })
    .await;
    follower.await.unwrap().unwrap();
    let kept = kept(&world, &lease).await;
    assert_eq!(*followed.lock().unwrap(), kept);
}

#[tokio::test]
async fn any_number_of_followers_need_one_connection_and_a_slow_one_misses_nothing() {
    let server = RedisServer::start();
    let world = progress_on(&server.url(), 1).await;
    let count = || {
        let clients = server.command("INFO clients");
        let line =
            clients.lines().find_map(|line| line.strip_prefix("connected_clients:")).unwrap().to_owned();
        line.parse::<u32>().unwrap()
    };
    let lease = world.jobs.start(&acme()).await;
    let before = count();
    let mut followers = Vec::new();
    for _ in 0..100 {
        followers.push(world.bus.follow(&acme(), lease.job, 0).await.unwrap());
        let other = world.jobs.start(&acme()).await;
        followers.push(world.bus.follow(&acme(), other.job, u64::MAX).await.unwrap());
    }
    assert_eq!(count(), before + 1);
    // Nobody reads while all of this is told: more than is held for one who is slow.
    publish(&world, &lease, (0..700).map(text)).await;
    world.jobs.end(&lease).await;
    let kept = kept(&world, &lease).await;
    for slow in followers.iter_mut().step_by(50) {
        let seen: Vec<_> = slow.by_ref().map(Result::unwrap).collect().await;
        assert_eq!(seen, kept);
    }
}
