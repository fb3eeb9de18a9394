//! What subscribers are told of a job while it runs, and the fold that keeps a percentage from going back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{clock::Timestamp, id::JobId, names::TenantId, state::State, verdict::Reason};

/// One event of a job. `sequence` starts at 1 and rises by one with each event of the job, across attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Whose job.
    pub tenant: TenantId,
    /// Which job.
    pub job: JobId,
    /// The place in the job's order of events.
    pub sequence: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum EventBody {
    /// The job is in another state; a final one is the last event (until somebody requeues the job).
    State {
        /// The new state.
        state: State,
        /// The attempt it is in or was in.
        attempt: u32,
        /// Why, where there is something to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// The job has got on.
    Progress(Progress),
    /// A piece of the text that the job is writing.
    Text {
        /// The piece.
        text: String,
    },
}

impl EventBody {
    /// Whether nothing more comes after it.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::State { state, .. } if state.is_final())
    }
}

/// How far a job has got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done, in whatever the handler counts: chapters, bytes, characters.
    pub done: u64,
    /// Units in all; 0 where nobody knows.
    pub total: u64,
    /// 0 to 100, to a tenth; never less than in an earlier event of the job.
    pub percent: f64,
    /// For people, at most 200 characters.
    pub message: String,
    /// Seconds still to go, estimated from the pace of this attempt; none before there is a pace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_seconds: Option<u64>,
}

/// Folds a handler's reports into [`Progress`]: the percentage never goes back, the estimate follows the pace.
#[derive(Clone, Copy, Debug)]
pub struct ProgressFold {
    begun: Timestamp,
    first_done: Option<u64>,
    last: (u64, u64),
    highest_tenths: u32,
}

impl ProgressFold {
    /// A fold for an attempt that began at `begun`, on top of `floor` per cent reached before.
    pub fn new(begun: Timestamp, floor: f64) -> Self {
        Self { begun, first_done: None, last: (0, 0), highest_tenths: tenths(floor) }
    }

    /// What was reported last: units done, and units in all.
    pub fn last(&self) -> (u64, u64) {
        self.last
    }

    /// The progress after a report at `now`.
    pub fn report(&mut self, done: u64, total: u64, message: &str, now: Timestamp) -> Progress {
        let done = if total > 0 { done.min(total) } else { done };
        let first = *self.first_done.get_or_insert(done);
        self.last = (done, total);
        if let Some(share) = (u128::from(done) * 1_000).checked_div(u128::from(total)) {
            self.highest_tenths = self.highest_tenths.max(u32::try_from(share).unwrap_or(1_000));
        }
        Progress {
            done,
            total,
            percent: f64::from(self.highest_tenths) / 10.0,
            message: message.chars().filter(|c| !c.is_control()).take(200).collect(),
            remaining_seconds: remaining(done, first, total, now.since(self.begun)),
        }
    }
}

/// Whole tenths of a percentage, 0 to 1,000, whatever the number.
pub(crate) fn tenths(percent: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000")]
    let tenths = (percent.clamp(0.0, 100.0) * 10.0).round() as u32;
    tenths
}

/// Seconds to go at the pace since the first report: what an attempt took over from a checkpoint is no pace.
fn remaining(done: u64, first: u64, total: u64, elapsed: Duration) -> Option<u64> {
    let (made, left) = (done.saturating_sub(first), total.saturating_sub(done));
    if made == 0 || total == 0 {
        return None;
    }
    let seconds = elapsed.as_millis() * u128::from(left) / u128::from(made) / 1_000;
    u64::try_from(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentage_never_goes_back_and_the_estimate_follows_the_pace() {
        let start = Timestamp::from_millis(0);
        let mut fold = ProgressFold::new(start, 12.5);
        assert_eq!(fold.report(0, 10, "a", start).percent, 12.5);
        let half = fold.report(5, 10, "b\u{7}", start.after(Duration::from_secs(20)));
        assert_eq!((half.percent, half.remaining_seconds, half.message.as_str()), (50.0, Some(20), "b"));
        let back = fold.report(2, 10, "c", start.after(Duration::from_secs(21)));
        assert_eq!((back.done, back.percent), (2, 50.0));
        assert_eq!(fold.report(99, 10, "d", start).percent, 100.0);
        assert_eq!(fold.report(7, 0, "e", start).remaining_seconds, None);
    }

    #[test]
    fn an_event_is_flat_json() {
        let event = Event {
            tenant: "acme".parse().unwrap(),
            job: JobId::from_u128(1),
            sequence: 3,
            at: Timestamp::EPOCH,
            body: EventBody::State { state: State::Completed, attempt: 1, reason: None },
        };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(
            (&json["type"], &json["state"], &json["sequence"]),
            (&"state".into(), &"completed".into(), &3.into())
        );
        assert!(event.body.is_last());
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }
}
