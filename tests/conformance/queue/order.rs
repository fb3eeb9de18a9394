//! Which job of a lane goes first, and when.

use presswork::domain::{JobId, NewJob, Priority, State};

use super::world::{EXPORT, IMPORT, QUANTUM, World, tenant};

pub(crate) async fn jobs_of_a_lane_go_first_in_first_out(world: &World) {
    let acme = tenant("acme");
    let mut ids = world.exports(&acme, 20).await;
    world.advance(1);
    ids.extend(world.exports(&acme, 20).await);
    let mut got = Vec::new();
    for most in [1, 3, 17, 30] {
        got.extend(world.claim_ids(most).await);
    }
    assert_eq!(got, ids);
}

pub(crate) async fn better_priorities_go_first(world: &World) {
    let acme = tenant("acme");
    let mut jobs: Vec<NewJob> = Vec::new();
    for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent] {
        jobs.extend((0..3).map(|_| world.job_of(&acme, priority)));
    }
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    world.enqueue(jobs).await;
    let mut got = world.claim_ids(5).await;
    got.extend(world.claim_ids(7).await);
    let expected: Vec<JobId> = ids.chunks(3).rev().flatten().copied().collect();
    assert_eq!(got, expected);
}

pub(crate) async fn priority_never_moves_a_job_before_another_tenants(world: &World) {
    let (loud, quiet) = (tenant("loud"), tenant("quiet"));
    world.enqueue((0..100).map(|_| world.job_of(&loud, Priority::Urgent)).collect()).await;
    world.enqueue((0..100).map(|_| world.job_of(&quiet, Priority::Low)).collect()).await;
    let (mut of_loud, mut of_quiet) = (0_u32, 0_u32);
    for _ in 0..10 {
        let claims = world.claim(10).await;
        for claim in &claims {
            *if claim.job.tenant == quiet { &mut of_quiet } else { &mut of_loud } += 1;
        }
        assert!(of_loud.abs_diff(of_quiet) <= QUANTUM, "loud {of_loud}, quiet {of_quiet}");
        world.finish(&claims).await;
    }
}

pub(crate) async fn a_delayed_job_starts_at_its_time_and_not_before(world: &World) {
    let acme = tenant("acme");
    let at = world.in_seconds(60);
    let id = world.submit(NewJob { run_at: Some(at), ..world.job(&acme, &EXPORT) }).await;
    let job = world.inspect(&acme, id).await;
    assert_eq!((job.state, job.run_at), (State::Scheduled, at));
    world.advance(59);
    assert_eq!(world.claim_ids(1).await, []);
    world.advance(1);
    assert_eq!(world.claim_ids(1).await, [id]);
}

pub(crate) async fn a_time_that_has_passed_delays_nothing(world: &World) {
    let acme = tenant("acme");
    let passed = Some(world.now());
    world.advance(10);
    let id = world.submit(NewJob { run_at: passed, ..world.job(&acme, &EXPORT) }).await;
    assert_eq!(world.claim_ids(1).await, [id]);
}

pub(crate) async fn a_due_job_is_not_starved_by_later_arrivals(world: &World) {
    let acme = tenant("acme");
    world.exports(&acme, 5).await;
    let due = world.submit(NewJob { run_at: Some(world.in_seconds(10)), ..world.job(&acme, &EXPORT) }).await;
    world.advance(10);
    let mut claimed = world.claim_ids(1).await;
    // From here on the job is in its lane: what arrives now stands behind it.
    for _ in 0..5 {
        world.exports(&acme, 5).await;
        claimed.extend(world.claim_ids(1).await);
    }
    assert!(claimed.contains(&due), "it was overtaken by later arrivals");
}

pub(crate) async fn a_claim_takes_only_the_kinds_asked_for(world: &World) {
    let acme = tenant("acme");
    let exports = world.exports(&acme, 2).await;
    let imports = world.many(&acme, &IMPORT, 2).await;
    assert_eq!(world.claim_ids(9).await, exports);
    let claims = world.claim_as("w2", &[IMPORT], 9).await;
    assert_eq!(claims.iter().map(|claim| claim.job.id).collect::<Vec<_>>(), imports);
}

pub(crate) async fn kinds_take_turns(world: &World) {
    let acme = tenant("acme");
    world.exports(&acme, 200).await;
    world.many(&acme, &IMPORT, 200).await;
    for most in [1, 5, 16] {
        let (mut exports, mut imports) = (0_u32, 0_u32);
        while exports + imports < 80 {
            let claims = world.claim_as("w1", &[EXPORT, IMPORT], most).await;
            assert!(!claims.is_empty());
            for claim in &claims {
                *if claim.job.kind == EXPORT { &mut exports } else { &mut imports } += 1;
            }
            let ahead = exports.abs_diff(imports);
            assert!(ahead <= QUANTUM, "claims of {most}: {exports} exports, {imports} imports");
            world.finish(&claims).await;
        }
    }
}

pub(crate) async fn a_claim_never_hands_out_more_than_asked(world: &World) {
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    world.exports(&acme, 30).await;
    world.exports(&bolt, 30).await;
    for most in [0, 1, 7, 9, 20] {
        assert_eq!(world.claim(most).await.len(), most);
    }
    assert_eq!(world.claim(1_000).await.len(), 60 - 37);
}
