//! What one call holds in memory.

use super::*;
use crate::queue::Filter;

fn heavy(world: &World, count: usize) -> Vec<NewJob> {
    let bytes = Bytes::from(vec![b' '; NewJob::MOST_PAYLOAD_BYTES]);
    world.jobs("acme", count).into_iter().map(|job| with_bytes(job, &bytes)).collect()
}

fn with_bytes(mut job: NewJob, bytes: &Bytes) -> NewJob {
    job.payload.bytes = bytes.clone();
    job
}

#[tokio::test]
async fn a_claim_of_many_large_jobs_hands_out_some_megabytes() {
    let world = World::new();
    let count = 40;
    world.queue.enqueue(heavy(&world, count)).await.unwrap();
    let first = world.claim(1_000).await.len();
    assert_eq!(first, super::super::claim::MOST_BYTES / NewJob::MOST_PAYLOAD_BYTES);
    assert_eq!(world.claim(1_000).await.len(), count - first, "the rest follows");
}

#[tokio::test]
async fn a_kind_with_large_jobs_leaves_room_for_the_others() {
    let world = World::new();
    let import = KindName::literal("import");
    let mut jobs = heavy(&world, 80);
    for job in &mut jobs[40..] {
        job.kind = import.clone();
    }
    world.queue.enqueue(jobs).await.unwrap();
    let ask = Ask { kinds: vec![EXPORT, import], most: 1_000, lease: Duration::from_secs(30) };
    let claims = world.queue.claim(&WorkerId::new("w"), &ask).await.unwrap();
    let exports = claims.iter().filter(|claim| claim.job.kind == EXPORT).count();
    assert_eq!((exports, claims.len()), (16, 32));
}

#[tokio::test]
async fn a_page_of_large_jobs_ends_early_and_none_is_left_out() {
    let world = World::new();
    let count = 40;
    world.queue.enqueue(heavy(&world, count)).await.unwrap();
    let (acme, all) = (tenant("acme"), Filter::default());
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.queue.list(&acme, &all, cursor.as_ref(), 1_000).await.unwrap();
        pages.push(page.items.len());
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [32, 8]);
}

#[tokio::test]
async fn an_output_that_is_too_large_is_refused_and_the_lease_stays() {
    let world = World::new();
    world.enqueue("acme", 1).await;
    let claim = world.claim(1).await.remove(0);
    let large = Output { result: "x".repeat(Output::MOST_BYTES).into(), artifacts: Vec::new() };
    let refused = world.queue.settle(vec![(claim.lease.clone(), Verdict::Done(large))]).await;
    assert!(matches!(refused, Err(QueueError::Invalid(_))), "{refused:?}");
    let settled = world.queue.settle(vec![(claim.lease, Verdict::Done(Output::default()))]).await.unwrap();
    assert_eq!(settled, [crate::queue::Settled::Now(crate::domain::State::Completed)]);
}
