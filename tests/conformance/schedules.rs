//! What schedules promise, one function a promise, for every engine of the records. Each uses a tenant of its own.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{sync::Arc, time::Duration};

use presswork::{
    domain::{
        Clock as _, KindName, ManualClock, Priority, ScheduleName, State, TenantId, TenantLimits, Timestamp,
    },
    queue::{Filter, Queue},
    schedule::{CatchUp, Plan, Schedule, ScheduleError, SchedulePayload, Scheduler, Schedules},
    store::{Expect, Records},
};
use serde_json::value::RawValue;

/// Records, a queue, and a clock that both read.
pub(crate) struct World {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) _folder: tempfile::TempDir,
}

const MINUTE: Duration = Duration::from_secs(60);
const TENANT: &str = "acme";

fn plan(cron: &str) -> Plan {
    Plan {
        kind: KindName::literal("print"),
        payload: SchedulePayload {
            version: 3,
            json: RawValue::from_string(r#"{ "pages": 1.50 }"#.to_owned()).unwrap(),
        },
        cron: cron.to_owned(),
        zone: "UTC".to_owned(),
        jitter: Duration::ZERO,
        catch_up: CatchUp::Skip,
        priority: Priority::High,
        cost: 2,
        max_attempts: 7,
    }
}

impl World {
    fn schedules(&self) -> Schedules {
        Schedules::new(&self.records, self.clock.clone())
    }

    fn scheduler(&self) -> Scheduler {
        Scheduler::new(self.schedules(), self.records.clone(), self.queue.clone())
    }

    async fn set(&self, name: &str, plan: Plan) -> Schedule {
        self.schedules().set(&tenant(), &name.parse().unwrap(), plan).await.unwrap()
    }

    async fn get(&self, name: &str) -> Schedule {
        self.schedules().get(&tenant(), &name.parse().unwrap()).await.unwrap().unwrap()
    }

    async fn tick(&self) -> (usize, Option<Timestamp>) {
        let ticked = self.scheduler().tick(self.clock.now()).await.unwrap();
        (ticked.made, ticked.next)
    }

    async fn jobs(&self) -> usize {
        self.queue.list(&tenant(), &Filter::default(), None, 1_000).await.unwrap().items.len()
    }

    async fn index(&self) -> Vec<String> {
        let page = self.records.list("schedules-due", "", None, 1_000).await.unwrap();
        page.items.into_iter().map(|record| record.key).collect()
    }

    /// How long until the next full minute.
    fn to_the_minute(&self) -> Duration {
        let past = Duration::from_micros(u64::try_from(self.clock.now().as_micros()).unwrap() % 60_000_000);
        MINUTE - past
    }
}

fn tenant() -> TenantId {
    TENANT.parse().unwrap()
}

/// A due schedule makes its job, once, and its next time is known.
pub(crate) async fn a_due_schedule_makes_its_job_once(world: World) {
    assert_eq!(world.tick().await, (0, None));
    let set = world.set("nightly", plan("* * * * *")).await;
    let first = world.clock.now().after(world.to_the_minute());
    assert_eq!(set.next.unwrap().at, first);
    assert_eq!(world.tick().await, (0, Some(first)));
    world.clock.advance(world.to_the_minute());
    assert_eq!(world.tick().await, (1, Some(first.after(MINUTE))));
    assert_eq!(world.tick().await, (0, Some(first.after(MINUTE))));
    let after = world.get("nightly").await;
    let fired = after.last.unwrap();
    assert_eq!(
        (fired.firing, fired.job, after.next.unwrap().firing),
        (first, set.job_id(first), first.after(MINUTE))
    );
    let job = world.queue.inspect(&tenant(), &[fired.job]).await.unwrap().remove(0).unwrap();
    assert_eq!(
        (job.state, job.kind.as_str(), job.priority, job.cost),
        (State::Waiting, "print", Priority::High, 2)
    );
    assert_eq!((job.max_attempts, job.payload.version), (7, 3));
    // As it was written, to the blank.
    assert_eq!(&job.payload.bytes[..], br#"{ "pages": 1.50 }"#);
    assert_eq!(world.jobs().await, 1);
}

/// Processes that tick at one time make one job a firing, and so does one that goes on after another has died between
/// the job and the document.
pub(crate) async fn rivals_and_the_dead_make_one_job_a_firing(world: World) {
    for n in 0..150 {
        world.set(&format!("s{n}"), plan("* * * * *")).await;
    }
    world.clock.advance(world.to_the_minute());
    // One has enqueued and died before it wrote anything down: its document is as it was before.
    let before = world.records.get("schedules", "acme/s7").await.unwrap().unwrap();
    let (a, b, c) = (world.scheduler(), world.scheduler(), world.scheduler());
    let now = world.clock.now();
    let (a, b, c) = tokio::join!(a.tick(now), b.tick(now), c.tick(now));
    let made: usize = [a, b, c].into_iter().map(|ticked| ticked.unwrap().made).sum();
    assert!(made >= 150, "{made}");
    let entry = format!("{:020}/acme/s7", now.as_micros());
    world.records.put("schedules", "acme/s7", before.value, Expect::Anything, None).await.unwrap();
    world
        .records
        .put("schedules-due", &entry, b"{}".as_slice().into(), Expect::Anything, None)
        .await
        .unwrap();
    assert_eq!(world.tick().await.0, 1);
    assert_eq!(world.jobs().await, 150);
    assert_eq!(world.index().await.len(), 150);
    assert!(world.get("s7").await.next.unwrap().at > now);
}

/// Who dies in the middle of a tick holds up the others for seconds only.
pub(crate) async fn a_turn_that_nobody_ends_ends_by_itself(world: World) {
    world.set("nightly", plan("* * * * *")).await;
    world.clock.advance(world.to_the_minute());
    let now = world.clock.now();
    let turn = Some(now.after(Duration::from_secs(10)));
    world
        .records
        .put("schedules-turns", "tick", b"{}".as_slice().into(), Expect::Nothing, turn)
        .await
        .unwrap();
    assert_eq!(world.tick().await, (0, Some(now.after(Duration::from_secs(1)))));
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.tick().await.0, 1);
}

/// A changed plan fires by the new one from then on; the same plan again changes nothing.
pub(crate) async fn a_plan_is_changed_and_set_again(world: World) {
    let first = world.set("nightly", plan("0 0 1 1 *")).await;
    assert_eq!(world.set("nightly", plan("0 0 1 1 *")).await, first);
    let changed = world.set("nightly", plan("* * * * *")).await;
    assert!(changed.generation > first.generation && changed.next.unwrap().at < first.next.unwrap().at);
    assert_eq!(world.index().await.len(), 1);
    assert_eq!(world.tick().await.1, Some(changed.next.unwrap().at));
    let wrong = world.schedules().set(&tenant(), &"nightly".parse().unwrap(), plan("0 0 30 2 *")).await;
    assert!(matches!(wrong, Err(ScheduleError::Timing(_))), "{wrong:?}");
    assert_eq!(world.get("nightly").await, changed);
}

/// Paused, a schedule makes nothing; resumed, it makes nothing of what has passed; removed, it is gone.
pub(crate) async fn a_schedule_is_paused_resumed_and_removed(world: World) {
    let (schedules, name): (_, ScheduleName) = (world.schedules(), "nightly".parse().unwrap());
    assert!(matches!(schedules.pause(&tenant(), &name).await, Err(ScheduleError::Unknown { .. })));
    world.set("nightly", Plan { catch_up: CatchUp::All, ..plan("* * * * *") }).await;
    assert_eq!(schedules.pause(&tenant(), &name).await.unwrap().next, None);
    world.clock.advance(MINUTE * 5);
    assert_eq!(world.tick().await, (0, None));
    // A change of the plan does not resume it.
    assert_eq!(world.set("nightly", Plan { catch_up: CatchUp::All, ..plan("*/2 * * * *") }).await.next, None);
    let resumed = schedules.resume(&tenant(), &name).await.unwrap();
    assert_eq!(schedules.resume(&tenant(), &name).await.unwrap(), resumed);
    assert_eq!(world.tick().await, (0, Some(resumed.next.unwrap().at)));
    assert!(schedules.remove(&tenant(), &name).await.unwrap());
    assert!(!schedules.remove(&tenant(), &name).await.unwrap());
    assert!(world.index().await.is_empty());
}

/// A tenant without room gets its job once there is room; others get theirs meanwhile.
pub(crate) async fn a_full_tenant_gets_its_job_later_and_holds_up_nobody(world: World) {
    let other: TenantId = "other".parse().unwrap();
    let limits = |most| Some(TenantLimits { max_waiting: Some(most), ..TenantLimits::default() });
    world.set("nightly", plan("0 * * * *")).await;
    world.schedules().set(&other, &"nightly".parse().unwrap(), plan("0 * * * *")).await.unwrap();
    world.queue.set_tenant_limits(&tenant(), limits(0)).await.unwrap();
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(world.tick().await.0, 1);
    let full = world.get("nightly").await;
    let trouble = full.trouble.unwrap();
    assert!(trouble.reason.as_str().contains("its limit"), "{}", trouble.reason);
    assert_eq!((full.last, full.next.unwrap().firing), (None, trouble.firing));
    world.queue.set_tenant_limits(&tenant(), limits(1)).await.unwrap();
    world.clock.advance(MINUTE);
    assert_eq!(world.tick().await.0, 1);
    let made = world.get("nightly").await;
    assert_eq!((made.trouble, made.last.unwrap().firing), (None, trouble.firing));
}

/// What a crash has left behind in the index is cleared away, and what it has left out is put back.
pub(crate) async fn the_index_is_mended(world: World) {
    let set = world.set("nightly", plan("* * * * *")).await;
    let entry = world.index().await.remove(0);
    world.records.delete("schedules-due", &entry, Expect::Anything).await.unwrap();
    for stale in ["00000000000000000001/acme/nightly", "00000000000000000002/acme/gone"] {
        world
            .records
            .put("schedules-due", stale, b"{}".as_slice().into(), Expect::Anything, None)
            .await
            .unwrap();
    }
    assert_eq!(world.tick().await, (0, None));
    assert!(world.index().await.is_empty());
    let now = world.clock.now();
    assert_eq!(world.scheduler().mend(now).await.unwrap(), 1);
    assert_eq!(world.tick().await, (0, Some(set.next.unwrap().at)));
    assert_eq!(world.index().await, [entry]);
    // Once an hour is enough.
    assert_eq!(world.scheduler().mend(now).await.unwrap(), 0);
}

/// A document that can't be read is left out; the others fire.
pub(crate) async fn an_unreadable_schedule_holds_up_nobody(world: World) {
    world.set("a", plan("* * * * *")).await;
    world.set("b", plan("* * * * *")).await;
    world
        .records
        .put("schedules", "acme/a", b"\"poison\"".as_slice().into(), Expect::Anything, None)
        .await
        .unwrap();
    world.clock.advance(world.to_the_minute());
    let (made, next) = world.tick().await;
    assert_eq!((made, next), (1, Some(world.clock.now().after(MINUTE))));
}

/// A scheduler at work hears of a change at once, and makes what falls due.
pub(crate) async fn a_scheduler_at_work_hears_of_changes(world: World) {
    let (schedules, clock) = (world.schedules(), world.clock.clone());
    let scheduler = Scheduler::new(schedules.clone(), world.records.clone(), world.queue.clone());
    let running = tokio::spawn(async move { scheduler.run().await });
    let plan = Plan { catch_up: CatchUp::All, ..plan("* * * * *") };
    let name: ScheduleName = "nightly".parse().unwrap();
    let set = schedules.set(&tenant(), &name, plan).await.unwrap();
    clock.advance(MINUTE);
    // The queue tells when the job is there.
    world.queue.wait(&[KindName::literal("print")]).await.unwrap();
    let job = set.job_id(set.next.unwrap().firing);
    assert!(world.queue.inspect(&tenant(), &[job]).await.unwrap()[0].is_some());
    running.abort();
}

/// All schedules that fall due at once are made, a bounded number a tick.
pub(crate) async fn many_schedules_fire_at_once(world: World) {
    use futures_util::{StreamExt as _, stream};
    let (schedules, tenants) = (world.schedules(), 20);
    let all =
        stream::iter(0..2_000).map(|n| {
            let (schedules, tenant) = (&schedules, format!("t{}", n % tenants).parse().unwrap());
            async move {
                schedules.set(&tenant, &format!("s{n}").parse().unwrap(), plan("* * * * *")).await.unwrap()
            }
        });
    assert_eq!(all.buffer_unordered(64).count().await, 2_000);
    world.clock.advance(world.to_the_minute());
    let now = world.clock.now();
    assert_eq!(world.tick().await, (1_000, Some(now)));
    assert_eq!(world.tick().await, (1_000, Some(now.after(MINUTE))));
    let stats = world.queue.stats(None).await.unwrap();
    assert_eq!((stats.count(State::Waiting), stats.lanes.len()), (2_000, tenants));
}

/// Left by a newer build, or by somebody who has no business there.
pub(crate) async fn what_is_no_schedule_is_mended_or_left_out(world: World) {
    world.set("nightly", plan("* * * * *")).await;
    let entry = world.index().await.remove(0);
    for (collection, key) in [("schedules", "acme/a"), ("schedules-due", &entry), ("schedules-due", "!")] {
        let foreign = b"[7]".as_slice().into();
        world.records.put(collection, key, foreign, Expect::Anything, None).await.unwrap();
    }
    // One that can be read and says no time.
    world.records.put("schedules-due", "#", b"{}".as_slice().into(), Expect::Nothing, None).await.unwrap();
    assert_eq!(world.scheduler().mend(world.clock.now()).await.unwrap(), 1);
    world.clock.advance(world.to_the_minute());
    assert_eq!((world.tick().await.0, world.jobs().await), (1, 1));
    let listed = world.schedules().list(&tenant(), None, 10).await.unwrap();
    assert_eq!(listed.items.len(), 1);
}
