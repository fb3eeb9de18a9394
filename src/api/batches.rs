//! `/v1/batches`: several jobs that end together, and the one that follows them.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    caller::Caller,
    extract::{Body, Path},
    jobs::read_job,
    problem::Problem,
    state::ApiState,
};
use crate::{
    domain::{Batch, BatchId, JobId, KindName, NewBatch},
    queue::Opened,
};

/// What `/v1/batches` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(open)).routes(routes!(get))
}

/// A batch to be opened.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewBatch)]
#[serde(deny_unknown_fields)]
struct NewBatchBody {
    /// How many jobs it will have: they are given with its id, in as many calls as it takes.
    #[schema(minimum = 1, maximum = 1_000_000)]
    size: u32,
    /// Your id for it, so that a call that is repeated opens no second one.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^batch_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    id: Option<BatchId>,
    /// The job that runs once all of them have ended, however they ended.
    #[serde(default)]
    callback: Option<CallbackBody>,
}

/// A job that follows a batch.
#[derive(Deserialize, ToSchema)]
#[schema(as = BatchCallback)]
#[serde(deny_unknown_fields)]
struct CallbackBody {
    /// What it is.
    #[schema(value_type = String)]
    kind: KindName,
    /// What it is to do, as its kind says.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
}

/// A batch that is open.
#[derive(Serialize, ToSchema)]
struct OpenedBatch {
    /// Its id.
    #[schema(value_type = String)]
    id: BatchId,
    /// Whether it was open before: nothing has changed then.
    duplicate: bool,
    /// The job that follows; null where none does.
    #[schema(required = true, value_type = Option<String>)]
    callback: Option<JobId>,
}

/// How far a batch is.
#[derive(Serialize, ToSchema)]
#[schema(as = Batch)]
struct BatchDocument {
    /// Its id.
    #[schema(value_type = String)]
    id: BatchId,
    /// Whose it is.
    tenant: String,
    /// How many jobs it will have.
    size: u32,
    /// How many it has so far.
    enqueued: u32,
    /// How many of those have completed.
    completed: u32,
    /// How many are dead.
    dead: u32,
    /// How many were cancelled.
    cancelled: u32,
    /// The job that follows; null where none does.
    #[schema(required = true, value_type = Option<String>)]
    callback: Option<JobId>,
    /// How many have ended.
    ended: u32,
    /// How far it is, 0 to 100, to a tenth.
    percent: f64,
}

impl From<Batch> for BatchDocument {
    fn from(batch: Batch) -> Self {
        let (ended, percent) = (batch.ended(), batch.percent());
        let Batch { id, tenant, size, enqueued, completed, dead, cancelled, callback } = batch;
        let tenant = tenant.to_string();
        Self { id, tenant, size, enqueued, completed, dead, cancelled, callback, ended, percent }
    }
}

/// Open a batch
///
/// Then give its jobs, each with the batch's id.
#[utoipa::path(
    post,
    path = "/v1/batches",
    tag = "jobs",
    request_body = NewBatchBody,
    responses(
        (status = CREATED, description = "It is open", body = OpenedBatch, headers(("Location" = String, description = "The batch"))),
        (status = OK, description = "It was open before", body = OpenedBatch, headers(("Location" = String, description = "The batch"))),
    ),
    extensions(("x-permission" = json!("jobs:create:*")))
)]
async fn open(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<NewBatchBody>,
) -> Result<Response, Problem> {
    let (engine, tenant) = (state.engine(), caller.tenant());
    let callback = match body.callback {
        Some(callback) => Some(read_job(&state, &caller, &callback.kind, &callback.payload).await?),
        None => None,
    };
    let id = body.id.unwrap_or_else(|| BatchId::new(engine.clock.now(), &*engine.random));
    let mut follower = callback.as_ref().map(|callback| callback.id);
    let batch = NewBatch { id, tenant: tenant.clone(), size: body.size, callback };
    let duplicate = engine.queue.open_batch(batch).await?? == Opened::Before;
    if duplicate {
        follower = engine.queue.batch(tenant, id).await?.and_then(|batch| batch.callback);
    }
    let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
    let location = format!("/v1/batches/{id}");
    let opened = OpenedBatch { id, duplicate, callback: follower };
    Ok((status, [(header::LOCATION, location)], Json(opened)).into_response())
}

/// Look at a batch
///
/// Until some time after all of its jobs have ended.
#[utoipa::path(
    get,
    path = "/v1/batches/{batch}",
    tag = "jobs",
    params(("batch" = String, Path, description = "Its id")),
    responses(
        (status = OK, description = "How far it is", body = BatchDocument),
    ),
    extensions(("x-permission" = json!("jobs:read")))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<BatchId>,
) -> Result<Json<BatchDocument>, Problem> {
    let found = state.engine().queue.batch(caller.tenant(), id).await?;
    let batch = found.ok_or_else(|| Problem::not_found(format_args!("batch {id}")))?;
    Ok(Json(batch.into()))
}
