//! How attempts end.

use presswork::{
    domain::{ArtifactPointer, Encoding, NewJob, Output, State, Verdict},
    queue::{CancelOutcome, Lease, Settled},
};

use super::world::{EXPORT, World, dead, done, retry, tenant};

pub(crate) async fn a_done_job_publishes_its_output(world: &World) {
    let acme = tenant("acme");
    let id = world.exports(&acme, 1).await[0];
    let output = Output {
        result: serde_json::json!({ "pages": 312, "dropped": ["table"] }),
        artifacts: vec![ArtifactPointer {
            name: "novel.epub".parse().unwrap(),
            manifest: "acme/artifacts/1/1/novel.epub".to_owned(),
            content_type: "application/epub+zip".to_owned(),
            encoding: Encoding::None,
            plain_bytes: 9,
            stored_bytes: 9,
            sha256: "0".repeat(64),
            seal: None,
        }],
    };
    let lease = world.claim_one().await.lease;
    world.advance(2);
    assert_eq!(world.settle(&lease, Verdict::Done(output.clone())).await, Settled::Now(State::Completed));
    let job = world.inspect(&acme, id).await;
    assert_eq!((job.state, job.output), (State::Completed, Some(output)));
    assert_eq!((job.finished_at, job.attempt), (Some(world.now()), 1));
    assert_eq!((job.worker, job.lease_until), (None, None), "nobody runs it");
}

/// Each verdict that ends an attempt, and the state it makes.
fn verdicts(world: &World) -> [(Verdict, State); 5] {
    let later = world.in_seconds(60);
    [
        (done(), State::Completed),
        (retry(later), State::Retrying),
        (Verdict::Snooze { until: later }, State::Scheduled),
        (Verdict::Cancelled, State::Cancelled),
        (dead(), State::Dead),
    ]
}

pub(crate) async fn every_verdict_makes_its_transition(world: &World) {
    let acme = tenant("acme");
    for (verdict, state) in verdicts(world) {
        let id = world.exports(&acme, 1).await[0];
        let lease = world.claim_one().await.lease;
        assert_eq!(world.settle(&lease, verdict.clone()).await, Settled::Now(state));
        let job = world.inspect(&acme, id).await;
        assert_eq!((job.state, job.lease_until, job.worker), (state, None, None), "{verdict:?}");
        assert_eq!(job.finished_at.is_some(), state.is_final(), "{verdict:?}");
        if let Verdict::Retry { reason, .. } | Verdict::Dead(reason) = verdict {
            assert_eq!(job.reason, Some(reason));
        }
    }
}

pub(crate) async fn repeating_a_settlement_answers_the_same(world: &World) {
    let acme = tenant("acme");
    for (verdict, state) in verdicts(world) {
        let id = world.exports(&acme, 1).await[0];
        let lease = world.claim_one().await.lease;
        // Twice in one call, then again: an answer that got lost is asked for once more.
        let twice = vec![(lease.clone(), verdict.clone()), (lease.clone(), verdict.clone())];
        assert_eq!(world.queue.settle(twice).await.unwrap(), [Settled::Now(state); 2], "{verdict:?}");
        let settled = world.inspect(&acme, id).await;
        world.advance(1);
        assert_eq!(world.settle(&lease, verdict.clone()).await, Settled::Now(state), "{verdict:?}");
        assert_eq!(world.inspect(&acme, id).await, settled, "nothing has changed");
    }
    let id = world.submit(NewJob { max_attempts: 1, ..world.job(&acme, &EXPORT) }).await;
    let lease = world.claim_one().await.lease;
    for _ in 0..2 {
        let last = retry(world.in_seconds(60));
        assert_eq!(world.settle(&lease, last).await, Settled::Now(State::Dead));
    }
    assert_eq!(world.inspect(&acme, id).await.attempt, 1);
}

pub(crate) async fn another_verdict_after_the_first_changes_nothing(world: &World) {
    let acme = tenant("acme");
    for (first, _) in verdicts(world) {
        let id = world.exports(&acme, 1).await[0];
        let lease = world.claim_one().await.lease;
        world.settle(&lease, first.clone()).await;
        let settled = world.inspect(&acme, id).await;
        for (second, _) in verdicts(world) {
            world.settle(&lease, second).await;
            assert_eq!(world.inspect(&acme, id).await, settled, "{first:?}");
        }
    }
}

pub(crate) async fn settlements_are_answered_one_by_one(world: &World) {
    let acme = tenant("acme");
    let ids = world.exports(&acme, 3).await;
    let leases: Vec<Lease> = world.claim(3).await.into_iter().map(|claim| claim.lease).collect();
    let old = Lease { epoch: 0, ..leases[1].clone() };
    let foreign = Lease { tenant: tenant("bolt"), ..leases[1].clone() };
    let nobody = Lease { job: world.new_id(), ..leases[1].clone() };
    let batch = vec![
        (old, done()),
        (leases[0].clone(), done()),
        (foreign, done()),
        (leases[2].clone(), dead()),
        (nobody, done()),
    ];
    let expected = [
        Settled::LeaseLost,
        Settled::Now(State::Completed),
        Settled::LeaseLost,
        Settled::Now(State::Dead),
        Settled::LeaseLost,
    ];
    assert_eq!(world.queue.settle(batch).await.unwrap(), expected);
    assert_eq!(world.state(&acme, ids[1]).await, State::Running);
}

pub(crate) async fn done_wins_over_a_request_to_cancel(world: &World) {
    let acme = tenant("acme");
    let id = world.exports(&acme, 1).await[0];
    let lease = world.claim_one().await.lease;
    assert_eq!(world.queue.cancel(&acme, &[id]).await.unwrap(), [CancelOutcome::Asked]);
    assert_eq!(world.settle(&lease, done()).await, Settled::Now(State::Completed));
    assert_eq!(world.state(&acme, id).await, State::Completed);
}

pub(crate) async fn a_failure_after_a_request_to_cancel_makes_the_job_cancelled(world: &World) {
    let acme = tenant("acme");
    let later = world.in_seconds(60);
    let endings = [
        (retry(later), 5, State::Cancelled),
        (retry(later), 1, State::Cancelled),
        (Verdict::Snooze { until: later }, 5, State::Cancelled),
        (Verdict::Cancelled, 5, State::Cancelled),
        (dead(), 5, State::Dead),
    ];
    for (verdict, max_attempts, state) in endings {
        let id = world.submit(NewJob { max_attempts, ..world.job(&acme, &EXPORT) }).await;
        let lease = world.claim_one().await.lease;
        world.queue.cancel(&acme, &[id]).await.unwrap();
        assert_eq!(world.settle(&lease, verdict.clone()).await, Settled::Now(state), "{verdict:?}");
        assert_eq!(world.state(&acme, id).await, state);
    }
}
