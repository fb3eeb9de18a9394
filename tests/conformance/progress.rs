//! What [`ProgressBus`] promises, one function a promise, for every engine. Jobs are moved by the caller's [`Jobs`], over
//! the engine's queue; nothing here assumes how many state changes that makes. Each function uses jobs of its own, so
//! they may share a store.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _};
use presswork::{
    domain::{Clock as _, Event, EventBody, JobId, ManualClock, Progress, State, TenantId},
    progress::{MOST_EVENTS, ProgressBus, ProgressError, Publication},
    queue::Lease,
};

/// The jobs that the promises speak of, as the engine's queue makes and moves them.
#[async_trait]
pub(crate) trait Jobs: Send + Sync {
    /// A new job of the tenant, running under its first lease.
    async fn start(&self, tenant: &TenantId) -> Lease;
    /// The same job under its next lease, the former one having lapsed.
    async fn restart(&self, lease: &Lease) -> Lease;
    /// Ends the job: dead, so that it may be requeued.
    async fn end(&self, lease: &Lease);
    /// The dead job, requeued and running under its next lease.
    async fn revive(&self, lease: &Lease) -> Lease;
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn text(text: impl ToString) -> EventBody {
    EventBody::Text { text: text.to_string() }
}

fn percent(percent: f64) -> EventBody {
    EventBody::Progress(Progress { percent, ..Progress::default() })
}

async fn publish(bus: &dyn ProgressBus, lease: &Lease, bodies: impl IntoIterator<Item = EventBody>) {
    let Lease { tenant, job, epoch } = lease;
    let publication = |body| Publication { tenant: tenant.clone(), job: *job, epoch: *epoch, body };
    bus.publish(bodies.into_iter().map(publication).collect()).await.unwrap();
}

async fn kept(bus: &dyn ProgressBus, lease: &Lease) -> Vec<Event> {
    bus.replay(&lease.tenant, lease.job, 0, usize::MAX).await.unwrap()
}

async fn last(bus: &dyn ProgressBus, lease: &Lease) -> u64 {
    kept(bus, lease).await.last().map_or(0, |event| event.sequence)
}

async fn follow_to_the_end(bus: &dyn ProgressBus, lease: &Lease, after: u64) -> Vec<Event> {
    let stream = bus.follow(&lease.tenant, lease.job, after).await.unwrap();
    stream.try_collect().await.unwrap()
}

fn sequences(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.sequence).collect()
}

fn texts(events: &[Event]) -> Vec<&str> {
    let text = |event: &'_ Event| matches!(event.body, EventBody::Text { .. });
    let texts = events.iter().filter(|event| text(event));
    texts
        .filter_map(
            |event| if let EventBody::Text { text } = &event.body { Some(text.as_str()) } else { None },
        )
        .collect()
}

fn percents(events: &[Event]) -> Vec<f64> {
    let percent = |event: &Event| match &event.body {
        EventBody::Progress(progress) => Some(progress.percent),
        _ => None,
    };
    events.iter().filter_map(percent).collect()
}

/// Sequence numbers start at 1 and have no gap, across attempts and requeues; each event keeps its time and content.
pub(crate) async fn events_are_numbered_without_a_gap(
    bus: &dyn ProgressBus,
    jobs: &dyn Jobs,
    clock: &ManualClock,
) {
    let first = jobs.start(&tenant()).await;
    publish(bus, &first, [text("a"), text("b")]).await;
    clock.advance(Duration::from_secs(1));
    let published_at = clock.now();
    publish(bus, &first, [text("c")]).await;
    let second = jobs.restart(&first).await;
    publish(bus, &second, [text("d")]).await;
    jobs.end(&second).await;
    let third = jobs.revive(&second).await;
    publish(bus, &third, [text("e")]).await;
    let kept = kept(bus, &third).await;
    assert_eq!(sequences(&kept), (1..=u64::try_from(kept.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(texts(&kept), ["a", "b", "c", "d", "e"]);
    assert!(kept.iter().all(|event| event.job == first.job && event.tenant == tenant()));
    assert!(kept.iter().is_sorted_by_key(|event| event.at));
    assert_eq!(kept.iter().find(|event| event.body == text("c")).unwrap().at, published_at);
}

/// A replay gives what is above a number, as much as was asked for.
pub(crate) async fn a_replay_goes_on_from_a_number(
    bus: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let lease = jobs.start(&tenant()).await;
    let before = last(bus, &lease).await;
    publish(bus, &lease, (0..10).map(text)).await;
    let (tenant, job) = (&lease.tenant, lease.job);
    let piece = bus.replay(tenant, job, before + 2, 3).await.unwrap();
    assert_eq!(sequences(&piece), [before + 3, before + 4, before + 5]);
    assert_eq!(texts(&piece), ["2", "3", "4"]);
    assert!(bus.replay(tenant, job, before + 10, 3).await.unwrap().is_empty());
    assert!(bus.replay(tenant, job, u64::MAX, 3).await.unwrap().is_empty());
    assert!(bus.replay(tenant, job, 0, 0).await.unwrap().is_empty());
}

/// What a lease publishes that no longer holds is dropped without a word, and takes no number.
pub(crate) async fn a_lapsed_lease_publishes_nothing(
    bus: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let first = jobs.start(&tenant()).await;
    let second = jobs.restart(&first).await;
    publish(bus, &first, [text("lapsed")]).await;
    publish(bus, &second, [text("held")]).await;
    let stranger = Lease { tenant: "stranger".parse().unwrap(), ..second.clone() };
    publish(bus, &stranger, [text("stranger")]).await;
    let nobody = Lease { job: JobId::from_u128(second.job.as_u128() ^ 1), ..second.clone() };
    publish(bus, &nobody, [text("nobody")]).await;
    jobs.end(&second).await;
    publish(bus, &second, [text("late")]).await;
    let kept = kept(bus, &second).await;
    assert_eq!(texts(&kept), ["held"]);
    assert_eq!(sequences(&kept), (1..=u64::try_from(kept.len()).unwrap()).collect::<Vec<_>>());
    assert!(kept.last().unwrap().body.is_last());
}

/// In one batch, what may be published is, whatever stands beside it.
pub(crate) async fn a_batch_publishes_for_many_jobs(
    bus: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let one = jobs.start(&tenant()).await;
    let two = jobs.start(&"other".parse().unwrap()).await;
    let publication = |lease: &Lease, epoch, body| Publication {
        tenant: lease.tenant.clone(),
        job: lease.job,
        epoch,
        body,
    };
    let batch = vec![
        publication(&one, one.epoch, text("a")),
        publication(&two, two.epoch, text("x")),
        publication(&two, two.epoch + 1, text("of no lease")),
        publication(&one, one.epoch, text("b")),
    ];
    bus.publish(batch).await.unwrap();
    bus.publish(Vec::new()).await.unwrap();
    assert_eq!(texts(&kept(bus, &one).await), ["a", "b"]);
    assert_eq!(texts(&kept(bus, &two).await), ["x"]);
}

/// A percentage never goes back, not even in a later attempt that begins anew.
pub(crate) async fn a_percentage_never_goes_back(
    bus: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let first = jobs.start(&tenant()).await;
    publish(bus, &first, [percent(10.0), percent(50.0), percent(20.0)]).await;
    let second = jobs.restart(&first).await;
    publish(bus, &second, [percent(0.0)]).await;
    publish(bus, &second, [percent(60.5), percent(60.0)]).await;
    assert_eq!(percents(&kept(bus, &second).await), [10.0, 50.0, 50.0, 50.0, 60.5, 60.5]);
}

/// The events of a job are bounded; state changes outlive the rest, and numbers go on.
pub(crate) async fn old_events_go_and_state_changes_stay(
    bus: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let lease = jobs.start(&tenant()).await;
    let is_state = |event: &&Event| matches!(event.body, EventBody::State { .. });
    let before = kept(bus, &lease).await;
    let states: Vec<_> = before.iter().filter(is_state).cloned().collect();
    let most = u64::try_from(MOST_EVENTS).unwrap();
    for batch in 0..3 {
        publish(bus, &lease, (0..most).map(|number| text(batch * most + number))).await;
    }
    let kept = kept(bus, &lease).await;
    assert!(kept.len() <= MOST_EVENTS && kept.len() > MOST_EVENTS / 2, "{} are kept", kept.len());
    assert_eq!(kept.iter().filter(is_state).cloned().collect::<Vec<_>>(), states);
    let texts = texts(&kept);
    let newest: Vec<_> =
        (3 * most - u64::try_from(texts.len()).unwrap()..3 * most).map(|n| n.to_string()).collect();
    assert_eq!(texts, newest);
    let last_before = before.last().map_or(0, |event| event.sequence);
    assert_eq!(kept.last().unwrap().sequence, last_before + 3 * most);
}

/// A follower gets what is kept and what comes, each once and in order, whichever process publishes, and then the end.
/// `elsewhere` is a second bus on the same store, as another process has it.
pub(crate) async fn a_follower_misses_nothing(
    bus: &dyn ProgressBus,
    elsewhere: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let lease = jobs.start(&tenant()).await;
    publish(bus, &lease, (0..300).map(text)).await;
    let publisher = async {
        for number in 0..200 {
            publish(if number % 2 == 0 { bus } else { elsewhere }, &lease, [text(number)]).await;
        }
        jobs.end(&lease).await;
    };
    let (here, there, late, ()) = tokio::join!(
        follow_to_the_end(bus, &lease, 0),
        follow_to_the_end(elsewhere, &lease, 0),
        follow_to_the_end(bus, &lease, 250),
        publisher
    );
    let all = kept(bus, &lease).await;
    assert!(all.len() > 500);
    assert_eq!(here, all);
    assert_eq!(there, all);
    assert_eq!(late, all[250..]);
    assert!(here.last().unwrap().body.is_last());
}

/// A follower that waits hears what another process publishes.
pub(crate) async fn news_of_another_process_wakes_a_follower(
    bus: &dyn ProgressBus,
    elsewhere: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let lease = jobs.start(&tenant()).await;
    let seen = last(bus, &lease).await;
    let mut stream = elsewhere.follow(&lease.tenant, lease.job, seen).await.unwrap();
    for number in 0..3 {
        let (next, ()) = tokio::join!(stream.next(), publish(bus, &lease, [text(number)]));
        assert_eq!(next.unwrap().unwrap().body, text(number));
    }
}

/// A follower comes back with the last number it has seen and goes on from there.
pub(crate) async fn a_follower_that_comes_back_goes_on(
    bus: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let lease = jobs.start(&tenant()).await;
    publish(bus, &lease, (0..5).map(text)).await;
    let mut stream = bus.follow(&lease.tenant, lease.job, 0).await.unwrap();
    let seen = stream.next().await.unwrap().unwrap().sequence;
    drop(stream);
    publish(bus, &lease, [text("meanwhile")]).await;
    jobs.end(&lease).await;
    let all = kept(bus, &lease).await;
    assert_eq!(seen, 1);
    assert_eq!(follow_to_the_end(bus, &lease, seen).await, all[1..]);
}

/// Nobody waits for a job that has ended, wherever they ask to go on from.
pub(crate) async fn following_an_ended_job_ends(
    bus: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let lease = jobs.start(&tenant()).await;
    publish(bus, &lease, [text("a")]).await;
    jobs.end(&lease).await;
    let all = kept(bus, &lease).await;
    assert_eq!(follow_to_the_end(bus, &lease, 0).await, all);
    let is_end = |body: &EventBody| matches!(body, EventBody::State { state: State::Dead, .. });
    assert!(is_end(&all.last().unwrap().body));
    let end = all.last().unwrap().sequence;
    for after in [end, end + 1, u64::MAX] {
        assert!(follow_to_the_end(bus, &lease, after).await.is_empty());
    }
}

/// A job that is requeued goes on with higher numbers, and followers from before or after its end see that.
pub(crate) async fn a_requeued_job_is_followed_on(
    bus: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let first = jobs.start(&tenant()).await;
    publish(bus, &first, [text("a")]).await;
    jobs.end(&first).await;
    let end = last(bus, &first).await;
    let second = jobs.revive(&first).await;
    let (all, news, ()) =
        tokio::join!(follow_to_the_end(bus, &second, 0), follow_to_the_end(bus, &second, end), async {
            publish(bus, &second, [text("b")]).await;
            jobs.end(&second).await;
        });
    assert_eq!(texts(&all), ["a", "b"]);
    assert_eq!(texts(&news), ["b"]);
    assert_eq!(news.first().unwrap().sequence, end + 1);
    assert!(all.last().unwrap().body.is_last() && all.last() == news.last());
}

/// A tenant's jobs are unknown to the others.
pub(crate) async fn a_tenant_sees_only_its_own_jobs(
    bus: &dyn ProgressBus,
    jobs: &dyn Jobs,
    _clock: &ManualClock,
) {
    let lease = jobs.start(&tenant()).await;
    let nobody = JobId::from_u128(lease.job.as_u128() ^ 1);
    for (tenant, job) in [("other".parse().unwrap(), lease.job), (tenant(), nobody)] {
        let replayed = bus.replay(&tenant, job, 0, 10).await;
        assert!(matches!(replayed, Err(ProgressError::UnknownJob { .. })), "{replayed:?}");
        let followed = bus.follow(&tenant, job, 0).await.map(drop);
        assert!(matches!(followed, Err(ProgressError::UnknownJob { .. })), "{followed:?}");
    }
}
