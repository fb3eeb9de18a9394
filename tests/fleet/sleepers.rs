//! Workers that sleep in Redis: whom an arrival wakes, and who keeps the time when the one that kept it has gone.

use std::{future::Future, time::Duration};

use presswork::domain::{KindName, NewJob};
use redis::Value;
use tokio::time::timeout;

use super::Fleet;
use crate::{
    conformance::queue::world::{EXPORT, IMPORT, tenant},
    servers::{READY_WITHIN, process::until},
};

/// Waits in the background.
fn waiter(fleet: &Fleet, kinds: &[KindName]) -> impl Future<Output = ()> + use<> {
    let (queue, kinds) = (fleet.world.queue.clone(), kinds.to_vec());
    let waiting = tokio::spawn(async move { queue.wait(&kinds).await.unwrap() });
    async move { timeout(READY_WITHIN, waiting).await.expect("it sleeps on").unwrap() }
}

/// Looks at the server until it is so.
async fn until_there_are(fleet: &Fleet, sleepers: i64, of: &str) {
    until("somebody lies down", async || fleet.ask("ZCARD", of, &[]).await == Value::Int(sleepers)).await;
}

/// A delayed import, and a waiter for exports and imports that keeps its time beside one for imports alone.
async fn a_keeper_and_another(
    fleet: &Fleet,
    delay: Duration,
) -> (impl Future<Output = ()> + use<>, impl Future<Output = ()> + use<>) {
    let (world, acme) = (&fleet.world, tenant("acme"));
    world.submit(NewJob { run_at: Some(world.now().after(delay)), ..world.job(&acme, &IMPORT) }).await;
    let keeper = waiter(fleet, &[EXPORT, IMPORT]);
    until_there_are(fleet, 1, "asleep:import").await;
    let other = waiter(fleet, &[IMPORT]);
    until_there_are(fleet, 2, "asleep:import").await;
    (keeper, other)
}

#[tokio::test]
async fn who_is_woken_for_another_kind_hands_over_the_time_that_it_kept() {
    let fleet = Fleet::of(1).await;
    let (keeper, other) = a_keeper_and_another(&fleet, Duration::from_secs(4)).await;
    fleet.world.exports(&tenant("acme"), 1).await;
    keeper.await;
    // The clock stands still: nothing but the hand-over ends this.
    other.await;
}

#[tokio::test]
async fn who_finds_work_of_another_kind_hands_over_the_time_that_it_kept() {
    let fleet = Fleet::of(1).await;
    let (keeper, other) = a_keeper_and_another(&fleet, Duration::from_secs(1)).await;
    // A lane that nobody is told of: the keeper finds it when its nap is over.
    fleet.send("ZADD", "ring:export", &[b"0", b"acme"]).await;
    keeper.await;
    other.await;
}

#[tokio::test]
async fn however_many_died_asleep_an_arrival_wakes_who_is_alive() {
    let (fleet, acme) = (Fleet::of(1).await, tenant("acme"));
    let dead: Vec<Vec<u8>> = (0..150).map(|number| format!("dead-{number} export").into_bytes()).collect();
    let plant = async || {
        let pairs: Vec<&[u8]> = dead.iter().flat_map(|who| [b"1".as_slice(), who]).collect();
        fleet.send("ZADD", "asleep:export", &pairs).await;
    };
    plant().await;
    let alive = waiter(&fleet, &[EXPORT]);
    // Who lies down clears them away, and the list ends with the last.
    until_there_are(&fleet, 1, "asleep:export").await;
    assert!(matches!(fleet.ask("PTTL", "asleep:export", &[]).await, Value::Int(1..=10_000)));
    plant().await;
    fleet.world.exports(&acme, 1).await;
    assert_eq!(fleet.ask("ZCARD", "asleep:export", &[]).await, Value::Int(0), "all but the one who is awake");
    alive.await;
}
