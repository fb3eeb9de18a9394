//! How many keys a tenant may have.

use super::*;
use crate::security::api_keys::room::{BEING_MADE, MOST_KEPT, MOST_KEYS, PUT_RIGHT_AGAIN};

#[tokio::test]
async fn what_has_ended_takes_no_room_from_what_holds_and_is_not_kept_without_bound() {
    let world = world_at_once();
    let end = Some(world.clock.now().after(Duration::from_secs(60)));
    for number in 0..MOST_KEYS {
        let expires_at = end.filter(|_| number % 2 == 0);
        world.make(NewApiKey { expires_at, ..new("one of many") }).await;
    }
    let refused = async || world.keys.create(new("one more"), &Acting::command_line()).await.unwrap_err();
    assert!(refused().await.to_string().contains("revoke one of them"));
    world.clock.advance(Duration::from_secs(60));
    let (key, _) = world.make(new("one more")).await;
    for _ in MOST_KEYS / 2 + 1..MOST_KEYS {
        world.make(new("and more")).await;
    }
    refused().await;
    world.keys.revoke(&key.tenant, &key.id, &Acting::command_line()).await.unwrap().unwrap();
    world.make(new("in its place")).await;
    // Ended ones are looked up for 90 days; so many of them and no more.
    let places = Collection::<Place>::new(world.records.clone(), "api_key_places");
    let ended = Place { hash: "0".repeat(64), ends_at: Some(world.clock.now()), made_at: None };
    for number in 0..MOST_KEPT {
        places.put(&format!("globex/key_{number:020}"), &ended, Expect::Nothing, None).await.unwrap();
    }
    let other = NewApiKey { tenant: tenant("globex"), ..new("too many") };
    let refused = world.keys.create(other, &Acting::command_line()).await.unwrap_err().to_string();
    assert!(refused.contains("within 90 days"), "{refused}");
}

#[tokio::test]
async fn no_fault_of_the_store_counts_against_a_tenant_for_good() {
    let (store, by) = (Arc::new(AtOnce::default()), Acting::command_line());
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let world = world_on(store.clone(), clock, None);
    let fails = |collection: &'static str| *store.1.lock().unwrap() = Some(collection);
    let mut made = Vec::new();
    for _ in 0..MOST_KEYS - 1 {
        made.push(world.make(new("one of many")).await.0);
    }
    // A key that never came to its place; what is being made just now is left alone.
    fails("api_keys");
    world.keys.create(new("lost"), &by).await.unwrap_err();
    let create = async || world.keys.create(new("one more"), &by).await;
    assert!(create().await.is_err());
    world.clock.advance(BEING_MADE);
    create().await.unwrap();
    assert!(create().await.is_err(), "they are as many as can be");

    // Two that were revoked, which their places do not say; of one it is said when that is repeated.
    let (one, other) = (&made[0], &made[1]);
    for key in [one, other] {
        fails("api_key_places");
        world.keys.revoke(&key.tenant, &key.id, &by).await.unwrap_err();
    }
    assert!(create().await.is_err(), "a thousand keys are not read again at once");
    world.keys.revoke(&one.tenant, &one.id, &by).await.unwrap();
    create().await.unwrap();
    assert!(create().await.is_err());
    world.clock.advance(PUT_RIGHT_AGAIN);
    create().await.unwrap();
    assert!(create().await.is_err());
}

#[tokio::test]
async fn a_key_whose_uses_can_never_be_written_down_does_not_take_a_place_for_good() {
    let world = world();
    let (key, text) = world.make(new("app")).await;
    let place = format!("acme/{}", key.id);
    world
        .records
        .put("api_key_uses", &place, Bytes::from_static(b"[]"), Expect::Nothing, None)
        .await
        .unwrap();
    assert!(world.holds(&text).await);
    world.keys.settle().await;
    let told = world.entries.told(Action::KeyUsed);
    assert_eq!(told.iter().map(|(_, _, count)| count).sum::<u64>(), 1, "{told:?}");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.keys.ledger.wait(), None);
}
