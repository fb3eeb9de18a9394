//! The ring: quanta, parked lanes, virtual time.

use std::time::Duration;

use super::*;
use crate::queue::Scope;

const STANDING: &str = "SELECT count(*) FROM lanes WHERE standing = 'ready'";

#[tokio::test]
async fn a_lane_is_served_a_quantum_while_others_wait() {
    let world = World::new();
    world.enqueue("acme", 100).await;
    world.enqueue("beta", 100).await;
    let order: Vec<_> = world.claim(64).await.into_iter().map(|claim| claim.lease.tenant).collect();
    let turns: Vec<_> = order.chunk_by(|one, other| one == other).map(<[_]>::len).collect();
    assert_eq!(turns, [8; 8]);
    // A small batch is shared as well.
    assert_eq!(world.claim_counting(4, "acme").await, 2);
}

#[tokio::test]
async fn a_lane_alone_is_served_at_once_and_leaves_no_debt_to_newcomers() {
    let world = World::new();
    world.enqueue("acme", 200).await;
    assert_eq!(world.claim(64).await.len(), 64);
    world.enqueue("beta", 200).await;
    let acme = world.claim_counting(64, "acme").await;
    assert!((24..=40).contains(&acme), "{acme} of 64");
}

#[tokio::test]
async fn an_idle_tenant_comes_back_without_credit() {
    let world = World::new();
    world.enqueue("acme", 1).await;
    assert_eq!(world.claim(1).await.len(), 1);
    world.enqueue("beta", 500).await;
    assert_eq!(world.claim(200).await.len(), 200);
    world.enqueue("acme", 100).await;
    let acme = world.claim_counting(64, "acme").await;
    assert!((24..=40).contains(&acme), "{acme} of 64");
}

#[tokio::test]
async fn throttled_lanes_cost_a_claim_nothing_and_come_back_at_their_time() {
    let world = World::new();
    for place in 0..50 {
        let name = format!("t{place}");
        world.limit(&name, rate("1/min:1")).await;
        world.enqueue(&name, 3).await;
    }
    assert_eq!(world.claim(100).await.len(), 50);
    assert_eq!(world.number(STANDING).await, 0);
    let before = world.number("SELECT total_changes()").await;
    assert!(world.claim(100).await.is_empty());
    assert_eq!(world.number("SELECT total_changes()").await, before);
    world.clock.advance(Duration::from_secs(60));
    // The first leases have lapsed by now: their jobs wait again, and the token is there for one.
    assert_eq!(world.claim(100).await.len(), 50);
}

#[tokio::test]
async fn capped_and_paused_lanes_are_held_until_an_event() {
    let world = World::new();
    world.limit("acme", TenantLimits { max_running: Some(1), ..TenantLimits::default() }).await;
    world.enqueue("acme", 3).await;
    let first = world.claim(10).await;
    assert_eq!((first.len(), world.number(STANDING).await), (1, 0));
    world.finish(first).await;
    assert_eq!(world.number(STANDING).await, 1);

    let acme = Scope::Tenant(tenant("acme"));
    world.queue.pause(&acme).await.unwrap();
    assert!(world.claim(10).await.is_empty());
    assert_eq!(world.number(STANDING).await, 0);
    world.queue.resume(&acme).await.unwrap();
    assert_eq!(world.claim(10).await.len(), 1);
    // New limits are in force from the next claim.
    world.limit("acme", TenantLimits::default()).await;
    assert_eq!(world.claim(10).await.len(), 1);
}

#[tokio::test]
async fn virtual_times_are_set_back_before_they_overflow() {
    let world = World::new();
    world.enqueue("acme", 20).await;
    world.enqueue("beta", 20).await;
    let far = |connection: &Connection| {
        connection.execute_batch("UPDATE lanes SET tag = tag + (1 << 61); UPDATE kinds SET tag = 1 << 61")
    };
    world.database.write(far).await.unwrap();
    assert_eq!(world.claim_counting(16, "acme").await, 8);
    let largest = world.number("SELECT max(tag) FROM lanes").await;
    assert!(largest < 1 << 40, "{largest}");
    assert_eq!(world.claim_counting(16, "acme").await, 8);
}
