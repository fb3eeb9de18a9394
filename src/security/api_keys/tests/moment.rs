//! A key that was read is trusted for a moment, and no longer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn whoever_asks_after_a_revocation_is_refused_however_many_ask_at_the_same_time() {
    let world = world();
    let (key, text) = world.make(new("busy")).await;
    let (is_revoked, uses) = (AtomicBool::new(false), AtomicUsize::new(0));
    let asking = (0..32).map(|_| async {
        loop {
            let afterwards = is_revoked.load(SeqCst);
            let holds = world.holds(&text).await;
            assert!(!(afterwards && holds), "let in by what was read before");
            uses.fetch_add(usize::from(holds), SeqCst);
            if afterwards {
                break;
            }
            // The time stands still, so that what was read once is trusted until it is forgotten.
            tokio::task::yield_now().await;
        }
    });
    let revoking = async {
        while uses.load(SeqCst) < 500 {
            tokio::task::yield_now().await;
        }
        world.keys.revoke(&key.tenant, &key.id, &Acting::system()).await.unwrap().unwrap();
        is_revoked.store(true, SeqCst);
    };
    tokio::join!(join_all(asking), revoking);
}

#[tokio::test]
async fn what_another_process_has_revoked_is_forgotten_where_it_is_revoked_once_more() {
    let world = world();
    let elsewhere = process(&world.records, &world.clock, &world.entries, 2);
    let (key, text) = world.make(new("twice")).await;
    assert!(world.holds(&text).await);
    elsewhere.revoke(&key.tenant, &key.id, &Acting::system()).await.unwrap().unwrap();
    world.keys.revoke(&key.tenant, &key.id, &Acting::system()).await.unwrap().unwrap();
    assert!(!world.holds(&text).await);
}

#[tokio::test]
async fn what_is_trusted_is_held_against_its_end_and_its_addresses_each_time_and_counted() {
    let world = world();
    let end = world.clock.now().after(trust::MOMENT / 2);
    let bound = vec!["203.0.113.0/24".parse().unwrap()];
    let (key, text) = world.make(NewApiKey { from: bound, expires_at: Some(end), ..new("bound") }).await;
    let recall = |address: &str| world.keys.recall(text.reveal(), &from(address)).is_some();
    assert!(!recall("203.0.113.9"), "nothing was read yet");
    assert!(world.keys.verify(text.reveal(), &from("203.0.113.9"), true).await.unwrap().is_some());
    assert!(recall("203.0.113.9") && !recall("203.0.114.9"));
    world.clock.advance(trust::MOMENT / 2);
    assert!(!recall("203.0.113.9"), "it has ended");
    world.keys.settle().await;
    assert_eq!(world.keys.get(&key.tenant, &key.id).await.unwrap().unwrap().1.unwrap().uses, 2);
}
