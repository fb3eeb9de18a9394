//! What one script does at most, and that nobody waits for ever behind the many.

use presswork::{
    domain::State,
    queue::{CancelOutcome, QueueError},
};

use super::Fleet;
use crate::{
    conformance::queue::world::{EXPORT, tenant},
    servers::RedisServer,
};

#[tokio::test]
async fn a_shard_that_had_nothing_to_do_is_not_forgotten_for_the_one_with_many_tenants() {
    let fleet = Fleet::of(2).await;
    let world = &fleet.world;
    // Some live here, some there.
    let (many, few): (Vec<_>, Vec<_>) = (0..400)
        .map(|number| tenant(&format!("tenant-{number}")))
        .partition(|whose| presswork::store::redis::shard_of(whose, 2) == 0);
    for whose in &many {
        world.exports(whose, 2).await;
    }
    // All shards have told how much they have to do.
    for _ in 0..4 {
        assert_eq!(world.claim(8).await.len(), 8);
    }
    let late = world.exports(&few[0], 1).await[0];
    let mut claims = 0;
    while !world.claim_ids(8).await.contains(&late) {
        claims += 1;
        assert!(claims < 5, "it waits behind {} tenants of another shard", many.len());
    }
    // A short look at a shard is not all that it is asked for: a claim that is not full has left nothing.
    world.exports(&few[0], 200).await;
    while world.claim(20).await.len() == 20 {}
    assert_eq!(world.queue.stats(None).await.unwrap().count(State::Waiting), 0);
}

#[tokio::test]
async fn the_index_of_a_tenant_goes_with_the_last_of_its_jobs() {
    let (fleet, acme) = (Fleet::of(1).await, tenant("acme"));
    let world = &fleet.world;
    world.exports(&acme, 150).await;
    assert_eq!(fleet.ask("XLEN", "index:acme", &[]).await, redis::Value::Int(3), "kept together");
    for (most, left) in [(70, 2), (20, 2), (60, 0)] {
        let claims = world.claim(most).await;
        world.finish(&claims).await;
        world.advance(1);
        assert_eq!(world.sweep(world.now()).await, most);
        assert_eq!(fleet.ask("XLEN", "index:acme", &[]).await, redis::Value::Int(left));
    }
    assert_eq!(fleet.ask("EXISTS", "index:acme", &[]).await, redis::Value::Int(0));
}

#[tokio::test]
async fn a_cancellation_in_long_lanes_is_done_in_several_scripts() {
    let server = RedisServer::start();
    let (fleet, acme) = (Fleet::on(&server, 1).await, tenant("acme"));
    let world = &fleet.world;
    let ids = world.exports(&acme, 5).await;
    // The lane's number of waiting jobs: the cost of a search is judged by it.
    fleet.send("SETRANGE", "lane:export:acme", &[b"5", &3_000_000_u32.to_be_bytes()]).await;
    server.command("CONFIG RESETSTAT");
    let outcomes = world.queue.cancel(&acme, &ids).await.unwrap();
    assert_eq!(outcomes, [CancelOutcome::Cancelled; 5]);
    let stats = server.command("INFO commandstats");
    assert!(stats.contains("cmdstat_lrem:calls=5,"), "{stats}");
    // One may have been sent twice, where the server did not know the script.
    let scripts: usize = ["cmdstat_evalsha:calls=", "cmdstat_eval:calls="]
        .iter()
        .filter_map(|name| stats.split_once(name)?.1.split_once(',')?.0.parse::<usize>().ok())
        .sum();
    assert!((5..=6).contains(&scripts), "{scripts}: {stats}");
}

#[tokio::test]
async fn a_full_server_refuses_a_call_as_a_whole_and_blames_no_tenant() {
    let server = RedisServer::start();
    let (fleet, acme) = (Fleet::on(&server, 1).await, tenant("acme"));
    let world = &fleet.world;
    let id = world.exports(&acme, 1).await[0];
    server.command("CONFIG SET maxmemory 1");
    // One alone, and several.
    for count in [1, 3] {
        let jobs = (0..count).map(|_| world.job(&acme, &EXPORT)).collect();
        let answer = world.queue.enqueue(jobs).await;
        assert!(matches!(answer, Err(QueueError::Unwritable { .. })), "{answer:?}");
    }
    let opened = world.queue.open_batch(world.batch(&acme, 2)).await;
    assert!(matches!(opened, Err(QueueError::Unwritable { .. })), "{opened:?}");
    // What is there goes on.
    let claims = world.claim(9).await;
    assert_eq!(claims[0].job.id, id);
    world.finish(&claims).await;
    server.command("CONFIG SET maxmemory 0");
    world.exports(&acme, 1).await;
    assert_eq!(world.claim(9).await.len(), 1);
}
