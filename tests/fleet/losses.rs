//! Replies that are lost on the way: what a producer is told all the same.

use presswork::{
    domain::{NewJob, Priority, State, TenantLimits},
    queue::{Enqueued, Opened},
};

use super::Fleet;
use crate::{
    conformance::queue::world::{EXPORT, IMPORT, tenant},
    servers::{
        proxy::{Cut, Proxy, SCRIPTS},
        shared_server,
    },
};

#[tokio::test]
async fn a_producer_whose_reply_is_lost_is_told_that_its_jobs_are_accepted() {
    let proxy = Proxy::to(shared_server().port()).await;
    for (cut, shards) in [(Cut::Reply, 1), (Cut::Request, 1), (Cut::Reply, 3)] {
        let (fleet, acme, bolt) =
            (Fleet::through(&proxy.url(), shards).await, tenant("acme"), tenant("bolt"));
        let world = &fleet.world;
        // As many as there is room for: the second time the door seems to be full. Of two kinds and priorities, so that they
        // are first sent together and then in order.
        world.limit(&acme, TenantLimits { max_waiting: Some(4), ..TenantLimits::default() }).await;
        let known = world.exports(&bolt, 1).await[0];
        let jobs = vec![
            world.job(&acme, &EXPORT),
            world.job(&acme, &IMPORT),
            world.job_of(&acme, Priority::Urgent),
            world.job(&acme, &EXPORT),
            NewJob { idempotency_key: Some("once".parse().unwrap()), ..world.job(&bolt, &EXPORT) },
            NewJob { run_at: Some(world.in_seconds(5)), ..world.job(&bolt, &EXPORT) },
        ];
        let expected: Vec<_> = jobs.iter().map(|job| Ok(Enqueued::Accepted(job.id))).collect();
        let before = proxy.cuts();
        proxy.cut_next(cut, &SCRIPTS);
        assert_eq!(world.enqueue(jobs).await, expected, "{cut:?}");
        assert_eq!(proxy.cuts(), before + 1);
        let stats = world.queue.stats(None).await.unwrap();
        assert_eq!((stats.count(State::Waiting), stats.count(State::Scheduled)), (6, 1), "{cut:?}");
        assert!(world.look(&bolt, known).await.is_some());
    }
}

#[tokio::test]
async fn a_job_that_is_named_twice_in_a_call_whose_reply_is_lost_is_a_duplicate_the_second_time() {
    let proxy = Proxy::to(shared_server().port()).await;
    let (fleet, acme) = (Fleet::through(&proxy.url(), 1).await, tenant("acme"));
    let job = fleet.world.job(&acme, &EXPORT);
    let id = job.id;
    proxy.cut_next(Cut::Reply, &SCRIPTS);
    let answers = fleet.world.enqueue(vec![job.clone(), job]).await;
    assert_eq!(answers, [Ok(Enqueued::Accepted(id)), Ok(Enqueued::Duplicate(id))]);
}

#[tokio::test]
async fn a_batch_whose_opening_was_not_heard_is_open_now() {
    let proxy = Proxy::to(shared_server().port()).await;
    let (fleet, acme) = (Fleet::through(&proxy.url(), 1).await, tenant("acme"));
    let world = &fleet.world;
    let batch = world.batch(&acme, 2);
    proxy.cut_next(Cut::Reply, &SCRIPTS);
    assert_eq!(world.queue.open_batch(batch.clone()).await.unwrap(), Ok(Opened::Now));
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(world.queue.open_batch(batch).await.unwrap(), Ok(Opened::Before));
}
