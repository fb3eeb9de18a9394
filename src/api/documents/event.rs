//! An event of a job, in JSON: the schema of `Event`, which belongs to the domain.
#![expect(dead_code, reason = "schemas only")]

use utoipa::ToSchema;

use super::names::StateName;

/// What happened to a job.
#[derive(ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventDocument {
    /// Whose job.
    tenant: String,
    /// Which job.
    job: String,
    /// The place in the job's order of events: 1, 2, 3 and so on. Old ones are dropped where there are more than 1,000.
    sequence: u64,
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// What happened.
    #[serde(flatten)]
    body: EventBodyDocument,
}

/// What happened.
#[derive(ToSchema)]
#[schema(as = EventBody)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum EventBodyDocument {
    /// The job is in another state; a final one is the last event, until somebody puts the job back.
    State {
        /// The new state.
        state: StateName,
        /// The attempt it is in or was in.
        attempt: u32,
        /// Why, where there is something to say.
        #[schema(required = false)]
        reason: String,
    },
    /// The job has got on.
    Progress {
        /// Units done, in whatever the kind counts.
        done: u64,
        /// Units in all; 0 where nobody knows.
        total: u64,
        /// 0 to 100, to a tenth; never less than before.
        percent: f64,
        /// For people.
        message: String,
        /// Seconds still to go, where that can be told.
        #[schema(required = false)]
        remaining_seconds: u64,
    },
    /// A piece of the text that the job is writing.
    Text {
        /// The piece.
        text: String,
    },
}
