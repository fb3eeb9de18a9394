//! A schedule, in JSON: the schema of `Schedule`, which belongs to its own module.
#![expect(dead_code, reason = "schemas only")]

use utoipa::ToSchema;

use super::names::{CatchUpName, PriorityName};

/// Jobs that are made again and again.
#[derive(ToSchema)]
#[schema(as = Schedule)]
pub(crate) struct ScheduleDocument {
    /// Whose it is.
    tenant: String,
    /// Its name among the tenant's.
    name: String,
    /// What it makes, and when.
    plan: PlanDocument,
    /// Whether somebody has paused it.
    paused: bool,
    /// Rises with each change of the plan.
    generation: u64,
    /// What comes next; null while it is paused, and where nothing comes any more.
    #[schema(required = true)]
    next: Option<NextDocument>,
    /// The firing made last.
    #[schema(required = true)]
    last: Option<FiredDocument>,
    /// Why the latest firing that failed could not be made; null once one was made since.
    #[schema(required = true)]
    trouble: Option<TroubleDocument>,
    /// The firings dropped last.
    #[schema(required = true)]
    dropped: Option<DroppedDocument>,
    /// When the plan was made or changed.
    #[schema(format = DateTime)]
    changed_at: String,
}

/// What a schedule makes, and when.
#[derive(ToSchema)]
#[schema(as = SchedulePlan)]
pub(crate) struct PlanDocument {
    /// What the jobs are.
    kind: String,
    /// What they are to do.
    payload: PlanPayload,
    /// When: a cron expression.
    cron: String,
    /// In which zone of the IANA database.
    zone: String,
    /// Each firing happens up to so many milliseconds later.
    jitter: u64,
    /// What becomes of missed firings.
    catch_up: CatchUpName,
    /// The jobs' priority.
    priority: PriorityName,
    /// What each weighs in the fair share.
    cost: u32,
    /// Attempts that each has.
    max_attempts: u32,
}

/// A payload with its version.
#[derive(ToSchema)]
#[schema(as = SchedulePayload)]
pub(crate) struct PlanPayload {
    /// The version of the kind's payload.
    version: u16,
    /// The payload.
    #[schema(value_type = Value)]
    json: (),
}

/// A firing that is to come.
#[derive(ToSchema)]
#[schema(as = ScheduleNext)]
pub(crate) struct NextDocument {
    /// The time that the expression says.
    #[schema(format = DateTime)]
    firing: String,
    /// When the job is made.
    #[schema(format = DateTime)]
    at: String,
}

/// A firing that was made.
#[derive(ToSchema)]
#[schema(as = ScheduleFired)]
pub(crate) struct FiredDocument {
    /// The time that the expression says.
    #[schema(format = DateTime)]
    firing: String,
    /// When the job was made.
    #[schema(format = DateTime)]
    at: String,
    /// The job.
    job: String,
}

/// Why a firing could not be made.
#[derive(ToSchema)]
#[schema(as = ScheduleTrouble)]
pub(crate) struct TroubleDocument {
    /// Which.
    #[schema(format = DateTime)]
    firing: String,
    /// When it was tried last.
    #[schema(format = DateTime)]
    at: String,
    /// What was in the way.
    reason: String,
}

/// Firings that were not made.
#[derive(ToSchema)]
#[schema(as = ScheduleDropped)]
pub(crate) struct DroppedDocument {
    /// The first of them.
    #[schema(format = DateTime)]
    from: String,
    /// The first one after them that was made, or when they were dropped.
    #[schema(format = DateTime)]
    until: String,
}
