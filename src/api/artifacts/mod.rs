//! `/v1/jobs/{job}/artifacts`: what a job has made. Owns: finding one for its tenant. `download` sends one, `manage` lists, lends,
//! checks and removes them.

mod download;
mod manage;

use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Routes, caller::Caller, problem::Problem, state::ApiState};
use crate::{
    artifact::{ArtifactError, ArtifactStore},
    domain::{ArtifactPointer, FileName, Job, JobId, State},
};

/// What `/v1/jobs/{job}/artifacts` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(manage::list))
        .routes(routes!(download::download, manage::remove))
        .routes(routes!(manage::presign))
        .routes(routes!(manage::verify))
}

/// The caller's job.
async fn job(state: &ApiState, caller: &Caller, job: JobId) -> Result<Job, Problem> {
    let found = state.engine().queue.inspect(caller.tenant(), &[job]).await?;
    found.into_iter().next().flatten().ok_or_else(|| Problem::not_found(format_args!("job {job}")))
}

/// What a job has made: nothing before it has completed.
fn artifacts(job: &Job) -> &[ArtifactPointer] {
    let output = job.output.as_ref().filter(|_| job.state == State::Completed);
    output.map_or(&[], |output| &output.artifacts)
}

/// One of the artifacts of the caller's job.
async fn find(
    state: &ApiState,
    caller: &Caller,
    id: JobId,
    name: &FileName,
) -> Result<ArtifactPointer, Problem> {
    let job = job(state, caller, id).await?;
    let found = artifacts(&job).iter().find(|one| one.name == *name);
    found.cloned().ok_or_else(|| Problem::not_found(format_args!("artifact {name} of job {id}")))
}

/// The caller's artifacts: whatever a record says, no others.
fn store(state: &ApiState, caller: &Caller) -> ArtifactStore {
    state.engine().artifacts.of(caller.tenant())
}

/// As a caller of the API learns of it: storage keys are no affair of his.
fn problem(error: ArtifactError) -> Problem {
    match error {
        ArtifactError::Removed { at, .. } => Problem::new(
            super::problem::ProblemType::Gone,
            format_args!("the artifact was removed at {at}: run its job again if you need it"),
        ),
        other => other.into(),
    }
}
