//! Puts many characters into a project in one request, and tells of each what became of it.

use std::collections::HashSet;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, header},
};
use futures_util::{StreamExt as _, stream};
use presswork::{
    api::{ApiState, Caller, Path, Problem, ProblemBody, ProblemType, Query},
    domain::ProjectId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{CharacterDocument, SIDE_BY_SIDE, batch::Form, named, of, take};
use crate::book::{Character, CharacterId, Characters};

/// How the characters are put.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PutQuery {
    /// Replace characters that are there; without, they are left alone and told as failed
    #[serde(default)]
    replace: bool,
}

/// What became of one of many.
#[derive(Serialize, ToSchema)]
pub(super) struct PutItem {
    /// Its place in the body, from 0.
    index: usize,
    /// Its id; null where it could not be told.
    #[schema(value_type = Option<String>)]
    id: Option<CharacterId>,
    /// `created`, `replaced` or `failed`.
    outcome: &'static str,
    /// Why it failed, and what to do; null where it did not.
    problem: Option<String>,
}

/// What became of many.
#[derive(Serialize, ToSchema)]
pub(super) struct PutReport {
    /// How many were stored.
    stored: usize,
    /// How many were not.
    failed: usize,
    /// Each of them, in the body's order.
    items: Vec<PutItem>,
}

/// Put many characters into a project
///
/// A JSON array, JSON Lines (`application/x-ndjson`) or CSV as the export of characters writes it; 1,000 at most. Each is stored
/// or fails by itself, and the answer tells which. Those that are new count towards the tenant's limit `character`: where they
/// are too many for now none is stored, and `Retry-After` says when to come again.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/characters",
    tag = "projects",
    params(("project" = String, Path, description = "The project's name"), PutQuery),
    request_body(content(
        (Vec<CharacterDocument> = "application/json"),
        (String = "application/x-ndjson"),
        (String = "text/csv"),
    )),
    responses(
        (status = OK, description = "What became of each", body = PutReport),
        (status = "4XX", description = "Refused, all of them", body = ProblemBody, content_type = "application/problem+json"),
    ),
    extensions(("x-permission" = json!("projects:write")))
)]
pub(super) async fn put_many(
    State(state): State<ApiState>,
    caller: Caller,
    Path(project): Path<String>,
    Query(query): Query<PutQuery>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Json<PutReport>, Problem> {
    let project: ProjectId = named("project", &project)?;
    let form = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(Form::of);
    let form = form.ok_or_else(|| {
        let text = "send application/json, application/x-ndjson or text/csv, and say so by `Content-Type`";
        Problem::new(ProblemType::UnsupportedMediaType, text)
    })?;
    let body = body.map_err(|error| match error.status().as_u16() {
        413 => Problem::new(ProblemType::TooLarge, "the body has more bytes than a request may: send two"),
        _ => Problem::new(ProblemType::Invalid, error.body_text()),
    })?;
    let characters = of(&state, &caller, &project);
    let plans = plan(&characters, form.items(&body)?, query.replace).await?;
    let new = plans.iter().filter(|plan| matches!(plan, Plan::Create(_))).count();
    take(&state, &caller, new).await?;
    let done = stream::iter(plans.into_iter().enumerate()).map(|(index, plan)| {
        let characters = characters.clone();
        async move { plan.run(index, &characters).await }
    });
    let items: Vec<PutItem> = done.buffered(SIDE_BY_SIDE).collect().await;
    let failed = items.iter().filter(|item| item.problem.is_some()).count();
    Ok(Json(PutReport { stored: items.len() - failed, failed, items }))
}

/// What is to be done with one of many.
enum Plan {
    Create(Box<Character>),
    Replace(Box<Character>),
    Fail(Option<CharacterId>, String),
}

/// What is to be done with each: all that can be told before anything is stored.
async fn plan(
    characters: &Characters,
    items: Vec<Result<Character, String>>,
    replace: bool,
) -> Result<Vec<Plan>, Problem> {
    let mut seen = HashSet::new();
    let checked: Vec<Result<Character, (Option<CharacterId>, String)>> = items
        .into_iter()
        .map(|item| {
            let one = item.map_err(|problem| (None, problem))?;
            one.check().map_err(|error| (Some(one.id.clone()), error.to_string()))?;
            // On some storages two that differ in case only are one file.
            if seen.insert(one.id.as_str().to_lowercase()) {
                return Ok(one);
            }
            let problem = "another one of this batch has the same id".to_owned();
            Err((Some(one.id), problem))
        })
        .collect();
    let planned = stream::iter(checked).map(|item| {
        let characters = characters.clone();
        async move {
            let one = match item {
                Ok(one) => one,
                Err((id, problem)) => return Ok(Plan::Fail(id, problem)),
            };
            Ok(match characters.has(&one.id).await? {
                false => Plan::Create(Box::new(one)),
                true if replace => Plan::Replace(Box::new(one)),
                true => Plan::Fail(Some(one.id), THERE.to_owned()),
            })
        }
    });
    let planned: Vec<Result<Plan, Problem>> = planned.buffered(SIDE_BY_SIDE).collect().await;
    planned.into_iter().collect()
}

const THERE: &str = "there is a character of this id: say `?replace=true` to replace it";

impl Plan {
    async fn run(self, index: usize, characters: &Characters) -> PutItem {
        let (one, replace, outcome) = match self {
            Self::Fail(id, problem) => {
                return PutItem { index, id, outcome: "failed", problem: Some(problem) };
            }
            Self::Create(one) => (one, false, "created"),
            Self::Replace(one) => (one, true, "replaced"),
        };
        let problem = match characters.put(&one, replace).await {
            Ok(true) => None,
            // Somebody else has put it there meanwhile.
            Ok(false) => Some(THERE.to_owned()),
            Err(error) => Some(Problem::from(error).detail().to_owned()),
        };
        let outcome = if problem.is_some() { "failed" } else { outcome };
        PutItem { index, id: Some(one.id), outcome, problem }
    }
}
