//! How many keys a tenant may have.

use super::*;

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
    let ended = Place { hash: "0".repeat(64), ends_at: Some(world.clock.now()) };
    for number in 0..MOST_KEPT {
        places.put(&format!("globex/key_{number:020}"), &ended, Expect::Nothing, None).await.unwrap();
    }
    let other = NewApiKey { tenant: tenant("globex"), ..new("too many") };
    let refused = world.keys.create(other, &Acting::command_line()).await.unwrap_err().to_string();
    assert!(refused.contains("within 90 days"), "{refused}");
}
