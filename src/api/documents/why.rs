//! Why a job does not run, in JSON.

use serde::Serialize;
use utoipa::ToSchema;

use super::names::StateName;
use crate::{domain::JobId, queue::Why};

/// Why a job does not run, and when it may.
#[derive(Serialize, ToSchema)]
#[schema(as = Why)]
pub(crate) struct WhyDocument {
    /// The job.
    #[schema(value_type = String)]
    pub(crate) id: JobId,
    /// What is known of it.
    #[serde(flatten)]
    #[schema(value_type = WhySchema)]
    pub(crate) why: Why,
    /// What it said last, where it waits for its time: why it was put off. Null where it has said nothing.
    #[schema(required = true)]
    pub(crate) said: Option<String>,
}

/// What is known of it.
#[derive(ToSchema)]
#[schema(as = WhyFacts)]
#[expect(dead_code, reason = "the schema of `Why`, which belongs to the queue")]
pub(crate) struct WhySchema {
    /// Where it stands.
    state: StateName,
    /// The one thing that holds it up now: lifted, the next one counts.
    constraint: ConstraintSchema,
    /// How many jobs of its own lane go before it; 0 where it does not wait in its lane.
    ahead: u64,
    /// When it is likely to start, where that can be told.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    estimate: Option<String>,
}

/// What holds a job up.
#[derive(ToSchema)]
#[schema(as = Constraint)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of `Constraint`, which belongs to the queue")]
pub(crate) enum ConstraintSchema {
    /// Nothing: it runs, or it has ended.
    Nothing,
    /// Its time has not come.
    Time {
        /// When it comes.
        #[schema(format = DateTime)]
        until: String,
    },
    /// Other jobs have not completed.
    Jobs {
        /// One of them, where it is known still.
        #[schema(required = true)]
        first: Option<String>,
        /// How many.
        left: u64,
    },
    /// Jobs of the batch that it follows have not ended.
    Batch {
        /// Which.
        batch: String,
        /// How many.
        left: u64,
    },
    /// Somebody has paused it.
    Paused {
        /// What is paused.
        scope: ScopeDocument,
    },
    /// As many of the tenant's jobs run as may.
    TenantRunning {
        /// How many that is.
        limit: u32,
    },
    /// As many of the tenant's jobs of this kind run as may.
    LaneRunning {
        /// How many that is.
        limit: u32,
    },
    /// As many of the kind's jobs run as may.
    KindRunning {
        /// How many that is.
        limit: u32,
    },
    /// Its lane has no token.
    Rate {
        /// When the next one is there.
        #[schema(format = DateTime)]
        until: String,
    },
    /// Nothing but its turn.
    Turn,
}

/// What a pause covers.
#[derive(ToSchema)]
#[schema(as = PauseScope)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "the schema of `Scope`, which belongs to the queue")]
pub(crate) enum ScopeDocument {
    /// All jobs.
    Everything,
    /// One tenant's.
    Tenant(String),
    /// One kind's.
    Kind(String),
}
