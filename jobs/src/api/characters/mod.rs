//! `/v1/projects/{project}/characters`: who is in the book, one at a time and many at once. `batch` reads many out of a body in any
//! of its forms; `many` stores them.

mod batch;
mod many;
mod table;

use axum::{Json, extract::State, http::StatusCode};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use presswork::{
    api::{ApiState, Body, Caller, PageOf, PageQuery, Path, Problem, ProblemType, Query, Routes},
    domain::ProjectId,
    limits::{Bucket, LimitRules},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{SIDE_BY_SIDE, storage_of};
use crate::book::{BookError, Character, CharacterId, Characters};

pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(list, many::put_many)).routes(routes!(get, put, remove))
}

/// Who is in the book. Whatever else it has is kept as it is.
#[derive(ToSchema)]
#[schema(as = Character)]
#[expect(dead_code, reason = "the schema of `Character`, which belongs to the book")]
struct CharacterDocument {
    /// What it is called in files and in other characters' relationships; at most 120 bytes.
    id: String,
    /// What people call them.
    name: String,
    /// What else they are called.
    #[schema(required = false)]
    aliases: Vec<String>,
    /// What they are for the story.
    #[schema(required = false)]
    role: String,
    /// Who they are, in short.
    #[schema(required = false)]
    description: String,
    /// What they are like, in single words.
    #[schema(required = false)]
    traits: Vec<String>,
    /// What they look like.
    #[schema(required = false)]
    appearance: String,
    /// Where they come from.
    #[schema(required = false)]
    background: String,
    /// Who they are to others.
    #[schema(required = false)]
    relationships: Vec<RelationshipDocument>,
    /// What the author wants to remember.
    #[schema(required = false)]
    notes: String,
    /// The chapter in which they appear first, counted from 1.
    #[schema(required = false, minimum = 1)]
    first_chapter: Option<u32>,
}

/// Who a character is to another.
#[derive(ToSchema)]
#[schema(as = Relationship)]
#[expect(dead_code, reason = "the schema of `Relationship`, which belongs to the book")]
struct RelationshipDocument {
    /// The other one's id.
    to: String,
    /// What they are to them.
    kind: String,
}

/// A character in a list.
#[derive(Serialize, ToSchema)]
struct ListedCharacter {
    /// Its id.
    #[schema(value_type = String)]
    id: CharacterId,
    /// What people call them.
    name: String,
    /// What they are for the story.
    role: String,
    /// What is wrong with its file, where somebody has spoilt it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    problem: Option<String>,
}

/// The caller's characters.
fn of(state: &ApiState, caller: &Caller, project: &ProjectId) -> Characters {
    Characters::of(storage_of(state, caller, project))
}

fn unknown(project: &ProjectId, id: &CharacterId) -> Problem {
    Problem::not_found(format_args!("character {id} in project {project}"))
}

/// Takes so many new characters from what the tenant may make.
///
/// # Errors
/// [`Problem`], with when to come again, where that is too many; nothing is taken then.
async fn take(state: &ApiState, caller: &Caller, count: usize) -> Result<(), Problem> {
    let (engine, resource) = (state.engine(), LimitRules::CHARACTER);
    let cost = u32::try_from(count).unwrap_or(u32::MAX);
    let Some(rate) = engine.rules.rate(caller.tenant(), &resource).await?.filter(|_| cost > 0) else {
        return Ok(());
    };
    let decision = engine.limiter.take(&Bucket::new(caller.tenant(), &resource), rate, cost).await?;
    if decision.allowed {
        return Ok(());
    }
    let text = format!(
        "the tenant has {} of {} new characters left for now, not {count}: try again later",
        decision.remaining, decision.limit
    );
    Err(Problem::new(ProblemType::LimitReached, text).after(decision.retry_after))
}

/// List a project's characters
///
/// By id.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/characters",
    tag = "projects",
    params(("project" = String, Path, description = "The project's name"), PageQuery),
    responses(
        (status = OK, description = "A page of characters", body = PageOf<ListedCharacter>),
    ),
    extensions(("x-permission" = json!("projects:read")))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(project): Path<ProjectId>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<ListedCharacter>>, Problem> {
    let after = page.cursor().map(str::parse::<CharacterId>).transpose();
    let (after, limit) = (after.map_err(|_| PageQuery::bad_cursor())?, page.limit()?);
    let characters = of(&state, &caller, &project);
    let mut ids = characters.page(after.as_ref(), limit + 1).await?;
    let has_more = ids.len() > limit;
    ids.truncate(limit);
    let next = ids.last().filter(|_| has_more).map(CharacterId::to_string);
    let read = stream::iter(ids).map(|id| {
        let characters = characters.clone();
        async move {
            match characters.get(&id).await {
                Ok(found) => {
                    Ok(found.map(|one| ListedCharacter { id, name: one.name, role: one.role, problem: None }))
                }
                // One that is spoilt hides none of the others.
                Err(error @ BookError::Input { .. }) => Ok(Some(ListedCharacter {
                    id,
                    name: String::new(),
                    role: String::new(),
                    problem: Some(error.to_string()),
                })),
                Err(error) => Err(Problem::from(error)),
            }
        }
    });
    let items: Vec<Option<ListedCharacter>> = read.buffered(SIDE_BY_SIDE).try_collect().await?;
    Ok(Json(PageOf { items: items.into_iter().flatten().collect(), next }))
}

/// Look at a character
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/characters/{id}",
    tag = "projects",
    params(
        ("project" = String, Path, description = "The project's name"),
        ("id" = String, Path, description = "The character's id"),
    ),
    responses(
        (status = OK, description = "The character", body = CharacterDocument),
    ),
    extensions(("x-permission" = json!("projects:read")))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path((project, id)): Path<(ProjectId, CharacterId)>,
) -> Result<Json<Character>, Problem> {
    let found = of(&state, &caller, &project).get(&id).await?;
    found.map(Json).ok_or_else(|| unknown(&project, &id))
}

/// Put a character into a project
///
/// One that is there is replaced. A new one counts towards the tenant's limit `character`. The body's `id` may be left out.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/characters/{id}",
    tag = "projects",
    params(
        ("project" = String, Path, description = "The project's name"),
        ("id" = String, Path, description = "The character's id"),
    ),
    request_body = CharacterDocument,
    responses(
        (status = CREATED, description = "It is there now", body = CharacterDocument),
        (status = OK, description = "It has taken the place of another", body = CharacterDocument),
    ),
    extensions(("x-permission" = json!("projects:write")))
)]
async fn put(
    State(state): State<ApiState>,
    caller: Caller,
    Path((project, id)): Path<(String, String)>,
    Body(body): Body<Value>,
) -> Result<(StatusCode, Json<Character>), Problem> {
    let project: ProjectId = named("project", &project)?;
    let id: CharacterId = named("id", &id)?;
    let character =
        read(body, Some(&id)).map_err(|problem| Problem::new(ProblemType::Unprocessable, problem))?;
    if character.id != id {
        let text = format!("it is put at {id}, and calls itself {}", character.id);
        return Err(Problem::at(ProblemType::Unprocessable, "/id", text));
    }
    character.check()?;
    let characters = of(&state, &caller, &project);
    let is_new = !characters.has(&id).await?;
    if is_new {
        take(&state, &caller, 1).await?;
    }
    characters.put(&character, true).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(character)))
}

/// Remove a character
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/characters/{id}",
    tag = "projects",
    params(
        ("project" = String, Path, description = "The project's name"),
        ("id" = String, Path, description = "The character's id"),
    ),
    responses(
        (status = NO_CONTENT, description = "It is gone"),
    ),
    extensions(("x-permission" = json!("projects:write")))
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path((project, id)): Path<(ProjectId, CharacterId)>,
) -> Result<StatusCode, Problem> {
    if of(&state, &caller, &project).remove(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown(&project, &id))
    }
}

/// A name that is to be made: what is wrong with it is told, as nothing is being looked for.
fn named<T: std::str::FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::at(ProblemType::Unprocessable, what, error))
}

/// A character out of JSON; `id` is the one that it has where it says none. What is wrong is told in words.
fn read(mut value: Value, id: Option<&CharacterId>) -> Result<Character, String> {
    let Value::Object(fields) = &mut value else { return Err("a character is a JSON object".to_owned()) };
    if let Some(id) = id {
        fields.entry("id").or_insert_with(|| Value::from(id.as_str()));
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}
