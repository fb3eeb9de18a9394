//! Waiting for a job's end while the store is away.

use std::{sync::Arc, time::Duration};

use presswork::{
    config::Settings,
    domain::{
        JobId, KindName, ManualClock, NewJob, Output, Payload, SeededRandom, State, TenantId, Timestamp,
        Verdict, WorkerId,
    },
    engine::Engine,
    queue::{Ask, wait_for},
    testing::FaultyQueue,
};

const KIND: KindName = KindName::literal("print");

#[tokio::test]
async fn a_store_that_is_away_just_at_the_end_of_a_job_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
    let engine = Engine::open_with(&settings, clock, Arc::new(SeededRandom::new(1))).unwrap();
    let (tenant, job): (TenantId, _) =
        ("acme".parse().unwrap(), JobId::new(engine.clock.now(), &*engine.random));
    let payload = Payload { version: 1, bytes: b"{}".as_slice().into() };
    let new = NewJob::new(job, tenant.clone(), KIND, payload);
    engine.queue.enqueue(vec![new]).await.unwrap()[0].as_ref().unwrap();
    let ask = Ask { kinds: vec![KIND], most: 1, lease: Duration::from_secs(15) };
    let claim = engine.queue.claim(&WorkerId::new("w"), &ask).await.unwrap().remove(0);
    engine.queue.settle(vec![(claim.lease, Verdict::Done(Output::default()))]).await.unwrap();

    let faulty = FaultyQueue::new(engine.queue.clone());
    faulty.fail_looks(1);
    let waited = wait_for(&faulty, &*engine.progress, &tenant, job, Duration::from_secs(600)).await;
    assert_eq!(waited.unwrap().unwrap().state, State::Completed);
}
