//! What the random run draws: operations' arguments, the same for the same seed.

use std::time::Duration;

use presswork::domain::{
    BatchId, Checkpoint, JobId, KindName, LaneLimits, NewBatch, NewJob, Output, Payload, Priority,
    Random as _, Rate, Reason, SeededRandom, TenantId, TenantLimits, Timestamp, Unique, Verdict, Window,
};

pub(super) const TENANTS: [&str; 4] = ["acme", "bolt", "carl", "dora"];
const KINDS: [KindName; 3] =
    [KindName::literal("export"), KindName::literal("generation"), KindName::literal("import")];
/// The payload's version of callbacks: when they were let go may have been noticed later.
pub(super) const CALLBACK: u16 = 7;
const KEYS: [&str; 6] = ["k1", "k2", "k3", "k4", "k5", "k6"];

pub(super) struct Chance(SeededRandom);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    pub(super) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.0.below(bound as u64)).unwrap()
    }

    fn number(&self, bound: usize) -> u32 {
        u32::try_from(self.below(bound)).unwrap()
    }

    pub(super) fn percent(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one_of<T: Clone>(&self, many: &[T]) -> T {
        many[self.below(many.len())].clone()
    }

    fn maybe<T>(&self, percent: usize, value: impl FnOnce() -> T) -> Option<T> {
        self.percent(percent).then(value)
    }

    pub(super) fn millis(&self, bound: usize) -> Duration {
        Duration::from_millis(1 + self.below(bound) as u64)
    }

    pub(super) fn tenant(&self) -> TenantId {
        self.one_of(&TENANTS).parse().unwrap()
    }

    pub(super) fn kind(&self) -> KindName {
        self.one_of(&KINDS)
    }

    /// One, two or all kinds.
    pub(super) fn kinds(&self) -> Vec<KindName> {
        let left_out = self.below(KINDS.len() + 2);
        let kept: Vec<KindName> = KINDS
            .into_iter()
            .enumerate()
            .filter(|(place, _)| *place != left_out)
            .map(|(_, kind)| kind)
            .collect();
        if self.percent(25) { vec![self.kind()] } else { kept }
    }

    pub(super) fn job(&self, now: Timestamp) -> NewJob {
        let payload = Payload { version: 1, bytes: vec![b'x'; self.below(40)].into() };
        let id = JobId::new(now, &self.0);
        NewJob {
            priority: self.one_of(&Priority::ALL),
            cost: 1 + self.number(3),
            // Now and then an impossible job.
            max_attempts: self.number(4).max(u32::from(!self.percent(10))),
            run_at: self.maybe(25, || now.after(self.millis(20_000))),
            idempotency_key: self.maybe(25, || self.one_of(&KEYS).parse().unwrap()),
            unique: self.maybe(20, || Unique {
                key: self.one_of(&KEYS).parse().unwrap(),
                window: self.one_of(&[Window::Waiting, Window::Unfinished]),
            }),
            ..NewJob::new(id, self.tenant(), self.kind(), payload)
        }
    }

    /// A batch, of so many jobs that some get full; now and then an impossible one.
    pub(super) fn batch(&self, now: Timestamp) -> NewBatch {
        let tenant = self.tenant();
        let callback = || {
            let mut job = self.job(now);
            job.payload.version = CALLBACK;
            job.tenant = if self.percent(95) { tenant.clone() } else { self.tenant() };
            job.after = if self.percent(5) { vec![job.id] } else { Vec::new() };
            job
        };
        let callback = self.maybe(70, callback);
        let size = self.number(4).max(u32::from(!self.percent(5)));
        NewBatch { id: BatchId::new(now, &self.0), tenant, size, callback }
    }

    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        self.maybe(50, || Checkpoint(vec![self.number(256) as u8; self.below(9)].into()))
    }

    pub(super) fn verdict(&self, now: Timestamp) -> Verdict {
        let reason = || Reason::new(format!("reason {}", self.below(1_000)));
        // A time that is mostly ahead, now and then just now or past.
        let time =
            || now.before(Duration::from_secs(1)).after(Duration::from_millis(self.below(15_000) as u64));
        match self.below(10) {
            0..4 => Verdict::Done(Output { result: self.below(1_000).into(), ..Output::default() }),
            4..7 => Verdict::Retry { at: time(), reason: reason() },
            7 => Verdict::Snooze { until: time() },
            8 => Verdict::Cancelled,
            _ => Verdict::Dead(reason()),
        }
    }

    fn cap(&self, percent: usize, bound: usize) -> Option<u32> {
        self.maybe(percent, || self.number(bound))
    }

    pub(super) fn kind_cap(&self) -> Option<u32> {
        self.cap(50, 12)
    }

    /// Limits, or none; now and then impossible ones.
    pub(super) fn limits(&self) -> Option<TenantLimits> {
        let lane = || {
            let rate = self.maybe(60, || Rate::per_minute(6 + self.number(60), 1 + self.number(5)));
            (self.kind(), LaneLimits { rate, max_running: self.cap(40, 5) })
        };
        self.maybe(75, || TenantLimits {
            weight: 1 + self.number(5) + if self.percent(5) { 1_000 } else { 0 },
            max_running: self.cap(50, 8),
            max_waiting: self.cap(40, 40).map(u64::from),
            max_waiting_bytes: self.cap(40, 800).map(u64::from),
            kinds: (0..self.below(3)).map(|_| lane()).collect(),
        })
    }
}
