//! What is done with the artifacts of a job beside downloading them.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{artifacts, find, job, problem, store};
use crate::{
    api::{
        caller::Caller,
        documents::ArtifactDocument,
        extract::{Body, Path, Query},
        page::{PageOf, PageQuery},
        problem::{Problem, ProblemType},
        room::Room,
        state::ApiState,
    },
    artifact::ArtifactError,
    domain::{ArtifactPointer, Encoding, FileName, JobId, Timestamp},
    security::audit::{Action, Entry},
};

/// So many are asked for side by side whether they were removed.
const SIDE_BY_SIDE: usize = 8;
/// For how long an address may be lent at most.
const MOST_LENT: Duration = Duration::from_secs(300);
/// Artifacts that are verified at one time: each is read as fast as it can be.
static VERIFYING: Room = Room::new("verifications", 4, 2);

/// An artifact, and whether it is still there.
#[derive(Serialize, ToSchema)]
pub(super) struct ListedArtifact {
    #[serde(flatten)]
    #[schema(value_type = ArtifactDocument)]
    artifact: ArtifactPointer,
    /// When somebody removed it; null where it is there.
    #[schema(value_type = Option<String>, format = DateTime)]
    removed_at: Option<Timestamp>,
}

/// List what a job has made
///
/// Nothing before it has completed.
#[utoipa::path(
    get,
    path = "/v1/jobs/{job}/artifacts",
    tag = "artifacts",
    params(("job" = String, Path, description = "The job's id"), PageQuery),
    responses(
        (status = OK, description = "A page of artifacts", body = PageOf<ListedArtifact>),
    ),
    extensions(("x-permission" = json!("artifacts:read")))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<JobId>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<ListedArtifact>>, Problem> {
    let job = job(&state, &caller, id).await?;
    let all = artifacts(&job);
    let from = match page.cursor() {
        None => 0,
        Some(cursor) => cursor.parse::<usize>().map_err(|_| PageQuery::bad_cursor())?,
    };
    let (from, limit) = (from.min(all.len()), page.limit()?);
    let to = from.saturating_add(limit).min(all.len());
    let store = store(&state, &caller);
    let mut items = Vec::with_capacity(to - from);
    for some in all[from..to].chunks(SIDE_BY_SIDE) {
        let asked = some.iter().map(|pointer| store.removed_at(pointer));
        let answers = try_join_all(asked).await.map_err(problem)?;
        let listed = |(artifact, removed_at): (&ArtifactPointer, _)| ListedArtifact {
            artifact: artifact.clone(),
            removed_at,
        };
        items.extend(some.iter().zip(answers).map(listed));
    }
    Ok(Json(PageOf { items, next: (to < all.len()).then(|| to.to_string()) }))
}

/// Remove what a job has made
///
/// For good; the job's record still names it. Removing it again does nothing.
#[utoipa::path(
    delete,
    path = "/v1/jobs/{job}/artifacts/{name}",
    tag = "artifacts",
    params(
        ("job" = String, Path, description = "The job's id"),
        ("name" = String, Path, description = "The artifact's name within the job"),
    ),
    responses(
        (status = NO_CONTENT, description = "It is gone"),
    ),
    extensions(("x-permission" = json!("artifacts:delete")))
)]
pub(super) async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path((job, name)): Path<(JobId, FileName)>,
) -> Result<StatusCode, Problem> {
    let pointer = find(&state, &caller, job, &name).await?;
    let now = state.engine().clock.now();
    if store(&state, &caller).remove(&pointer, now).await.map_err(problem)? {
        let entry = Entry::new(Action::ArtifactRemoved).to(format!("{job}/{name}"));
        state.audit(&caller, entry.with("sha256", &pointer.sha256)).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// For how long an address is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PresignBody {
    /// 1 to 300 seconds.
    #[serde(default = "most_seconds")]
    #[schema(minimum = 1, maximum = 300, default = 300)]
    expires_in_seconds: u64,
}

fn most_seconds() -> u64 {
    MOST_LENT.as_secs()
}

/// A lent address.
#[derive(Serialize, ToSchema)]
pub(super) struct Lent {
    /// Whoever has it can fetch the stored bytes, from the storage itself and without a credential.
    url: String,
    /// For how long.
    expires_in_seconds: u64,
    /// How the bytes are compressed, which the storage does not say: zstd, gzip, brotli or none.
    #[schema(value_type = String)]
    encoding: Encoding,
}

/// Lend an address of what a job has made
///
/// Of what is not sealed, on a storage that can make such addresses.
#[utoipa::path(
    post,
    path = "/v1/jobs/{job}/artifacts/{name}/presign",
    tag = "artifacts",
    params(
        ("job" = String, Path, description = "The job's id"),
        ("name" = String, Path, description = "The artifact's name within the job"),
    ),
    request_body = PresignBody,
    responses(
        (status = OK, description = "The address", body = Lent),
    ),
    extensions(("x-permission" = json!("artifacts:read")))
)]
pub(super) async fn presign(
    State(state): State<ApiState>,
    caller: Caller,
    Path((job, name)): Path<(JobId, FileName)>,
    Body(body): Body<PresignBody>,
) -> Result<Json<Lent>, Problem> {
    let pointer = find(&state, &caller, job, &name).await?;
    if !(1..=MOST_LENT.as_secs()).contains(&body.expires_in_seconds) {
        let most = MOST_LENT.as_secs();
        let text = format!("an address is lent for 1 to {most} seconds");
        return Err(Problem::at(ProblemType::Unprocessable, "/expires_in_seconds", text));
    }
    let refused = |text: &str| Err(Problem::new(ProblemType::Unprocessable, text));
    if pointer.seal.is_some() {
        return refused(
            "the artifact is sealed: nobody could read what an address leads to; download it here",
        );
    }
    let store = store(&state, &caller);
    if store.storage().signer().is_none() {
        return refused("this installation's storage can't lend its objects by addresses: download it here");
    }
    let url = store.presign(&pointer, Duration::from_secs(body.expires_in_seconds)).await.map_err(problem)?;
    let (expires_in_seconds, encoding) = (body.expires_in_seconds, pointer.encoding);
    Ok(Json(Lent { url: url.into(), expires_in_seconds, encoding }))
}

/// What was found of an artifact, all bytes of which were read.
#[derive(Serialize, ToSchema)]
pub(super) struct Finding {
    /// `ok`, `removed`, `missing` or `damaged`.
    state: &'static str,
    /// What is wrong, and what to do; null where all is well.
    problem: Option<String>,
    /// Bytes when decoded.
    plain_bytes: u64,
    /// Bytes as stored.
    stored_bytes: u64,
    /// SHA-256 of the decoded bytes, in hexadecimal digits.
    sha256: String,
    /// Whether every segment was authenticated.
    sealed: bool,
}

/// Verify what a job has made
///
/// Reads all of it and compares lengths, frames, parts, both checksums and the seal; answers when that is done. Few are verified
/// at one time: who comes too many waits as long as `Retry-After` says.
#[utoipa::path(
    post,
    path = "/v1/jobs/{job}/artifacts/{name}/verify",
    tag = "artifacts",
    params(
        ("job" = String, Path, description = "The job's id"),
        ("name" = String, Path, description = "The artifact's name within the job"),
    ),
    responses(
        (status = OK, description = "What was found", body = Finding),
    ),
    extensions(("x-permission" = json!("artifacts:read")), ("x-timeout" = json!("none")))
)]
pub(super) async fn verify(
    State(state): State<ApiState>,
    caller: Caller,
    Path((job, name)): Path<(JobId, FileName)>,
) -> Result<Json<Finding>, Problem> {
    let pointer = find(&state, &caller, job, &name).await?;
    let _place = VERIFYING.enter(caller.tenant())?;
    let (found, problem) = match store(&state, &caller).verify(&pointer).await {
        Ok(_) => ("ok", None),
        Err(ArtifactError::Removed { at, .. }) => ("removed", Some(format!("it was removed at {at}"))),
        Err(ArtifactError::Missing { .. }) => {
            ("missing", Some("it is not on the storage: run its job again".to_owned()))
        }
        Err(ArtifactError::Damaged { problem, .. }) => {
            ("damaged", Some(format!("{problem}: run its job again")))
        }
        Err(other) => return Err(problem(other)),
    };
    Ok(Json(Finding {
        state: found,
        problem,
        plain_bytes: pointer.plain_bytes,
        stored_bytes: pointer.stored_bytes,
        sha256: pointer.sha256,
        sealed: pointer.seal.is_some(),
    }))
}
