//! Who is woken, and that nobody sleeps through an arrival.

use std::future::Future as _;

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

use super::*;

type Waits<'a> = FuturesUnordered<BoxFuture<'a, Result<(), QueueError>>>;

/// Waiters that have all looked and sleep, the first of them leading.
async fn asleep(world: &World, count: usize) -> Waits<'_> {
    let mut waits: Waits<'_> =
        (0..count).map(|_| async { world.queue.wait(&[EXPORT]).await }.boxed()).collect();
    // Each poll sends a look or takes its answer: their own looks, then the leader's.
    for _ in 0..3 {
        assert!(waits.next().now_or_never().is_none());
        answered(world).await;
    }
    waits
}

/// Returns once every read that was asked before is answered: the store's two readers meet here.
async fn answered(world: &World) {
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let meet = || {
        let barrier = barrier.clone();
        world.database.read(move |_| Ok(barrier.wait().is_leader()))
    };
    let (one, two) = tokio::join!(meet(), meet());
    assert!(one.is_ok() && two.is_ok());
}

#[tokio::test]
async fn a_claimable_job_ends_the_wait_at_once() {
    let world = World::new();
    world.enqueue("acme", 1).await;
    world.queue.wait(&[EXPORT]).await.unwrap();
    world.queue.wait(&[EXPORT]).await.unwrap();
}

#[tokio::test]
async fn an_arrival_wakes_one_and_a_claim_that_leaves_some_wakes_the_next() {
    let world = World::new();
    let mut waits = asleep(&world, 3).await;
    world.enqueue("acme", 2).await;
    waits.next().await.unwrap().unwrap();
    for _ in 0..5 {
        assert!(waits.next().now_or_never().is_none(), "a second was woken by one arrival");
        answered(&world).await;
    }
    assert_eq!(world.claim(1).await.len(), 1);
    waits.next().await.unwrap().unwrap();
    assert_eq!(waits.len(), 1);
}

#[tokio::test]
async fn a_waiter_that_goes_away_leaves_its_call_to_another() {
    let world = World::new();
    let mut waits = asleep(&world, 2).await;
    let kinds = [EXPORT];
    let mut gone = Box::pin(world.queue.wait(&kinds));
    futures_util::future::poll_fn(|context| {
        assert!(gone.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(gone);
    world.enqueue("acme", 1).await;
    waits.next().await.unwrap().unwrap();
}

#[tokio::test]
async fn an_arrival_by_another_process_is_heard() {
    let world = World::new();
    let other = world.another_process();
    let mut waits = asleep(&world, 1).await;
    other.enqueue(world.jobs("acme", 1)).await.unwrap();
    waits.next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_delay_ends_the_wait_when_it_is_over() {
    let world = World::new();
    let mut jobs = world.jobs("acme", 1);
    jobs[0].run_at = Some(Timestamp::from_millis(1_800_000_000_040));
    world.queue.enqueue(jobs).await.unwrap();
    let mut waits = asleep(&world, 1).await;
    world.clock.advance(Duration::from_millis(40));
    waits.next().await.unwrap().unwrap();
    assert_eq!(world.claim(1).await.len(), 1);
}

#[tokio::test]
async fn a_freed_place_and_a_resumption_are_heard() {
    let world = World::new();
    world.limit("acme", TenantLimits { max_running: Some(1), ..TenantLimits::default() }).await;
    world.enqueue("acme", 2).await;
    let claims = world.claim(2).await;
    let mut waits = asleep(&world, 1).await;
    world.finish(claims).await;
    waits.next().await.unwrap().unwrap();
    world.queue.pause(&crate::queue::Scope::Everything).await.unwrap();
    assert!(world.claim(1).await.is_empty());
    let mut waits = asleep(&world, 1).await;
    world.queue.resume(&crate::queue::Scope::Everything).await.unwrap();
    waits.next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_lapse_in_another_kind_that_frees_the_tenants_cap_is_heard() {
    let world = World::new();
    world.limit("acme", TenantLimits { max_running: Some(1), ..TenantLimits::default() }).await;
    let mut jobs = world.jobs("acme", 2);
    jobs[0].kind = KindName::literal("import");
    let ask = Ask { kinds: vec![jobs[0].kind.clone()], most: 1, lease: Duration::from_millis(40) };
    world.queue.enqueue(jobs).await.unwrap();
    assert_eq!(world.queue.claim(&WorkerId::new("w"), &ask).await.unwrap().len(), 1);
    assert!(world.claim(1).await.is_empty(), "the cap is reached");
    let mut waits = asleep(&world, 1).await;
    world.clock.advance(Duration::from_millis(40));
    waits.next().await.unwrap().unwrap();
    assert_eq!(world.claim(1).await.len(), 1);
}
