//! `/v1/projects`: the tenant's books, as they are on storage.

use std::borrow::Cow;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path as Key};
use presswork::{
    api::{ApiState, Caller, PageOf, PageQuery, Path, Problem, ProblemBody, Query, Routes},
    artifact::key,
    domain::{ProjectId, Timestamp},
    security::audit::{Action, Entry},
};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{PROJECTS, SIDE_BY_SIDE, exists, storage_of, unknown};
use crate::book::{self, Asset, Book, Metadata, project::ProjectReader};

/// Descriptions of books that are large, and are read at one time: each is held whole.
static LARGE: Semaphore = Semaphore::const_new(4);
/// From so many bytes on.
const LARGE_BYTES: u64 = 1 << 20;

pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, remove)).routes(routes!(chapter))
}

/// A project in a list.
#[derive(Serialize, ToSchema)]
struct ListedProject {
    /// Its name.
    #[schema(value_type = String)]
    project: ProjectId,
    /// When its book was imported or changed last; null where it has no book yet.
    #[schema(value_type = Option<String>, format = DateTime)]
    modified_at: Option<Timestamp>,
}

/// List the tenant's projects
///
/// By name.
#[utoipa::path(
    get,
    path = "/v1/projects",
    tag = "projects",
    params(PageQuery),
    responses(
        (status = OK, description = "A page of projects", body = PageOf<ListedProject>),
    ),
    extensions(("x-permission" = json!("projects:read")))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<ListedProject>>, Problem> {
    let after = page.cursor().map(str::parse::<ProjectId>).transpose();
    let (after, limit) = (after.map_err(|_| PageQuery::bad_cursor())?, page.limit()?);
    let folder = key([caller.tenant().as_str(), PROJECTS]);
    let listed = state.engine().storage.list_with_delimiter(Some(&folder)).await;
    let name = |path: Key| path.filename().and_then(|name| name.parse::<ProjectId>().ok());
    let mut projects: Vec<ProjectId> =
        listed.map_err(Problem::unavailable)?.common_prefixes.into_iter().filter_map(name).collect();
    projects.retain(|project| after.as_ref().is_none_or(|after| project > after));
    projects.sort();
    let next = (projects.len() > limit).then(|| projects[limit - 1].to_string());
    projects.truncate(limit);
    let items = stream::iter(projects).map(|project| look(&state, &caller, project));
    let items = items.buffered(SIDE_BY_SIDE).try_collect().await?;
    Ok(Json(PageOf { items, next }))
}

async fn look(state: &ApiState, caller: &Caller, project: ProjectId) -> Result<ListedProject, Problem> {
    let modified_at = match storage_of(state, caller, &project).head(&key(["book.json"])).await {
        Ok(meta) => Some(Timestamp::from_micros(meta.last_modified.timestamp_micros())),
        Err(object_store::Error::NotFound { .. }) => None,
        Err(error) => return Err(Problem::unavailable(error)),
    };
    Ok(ListedProject { project, modified_at })
}

/// A project's book.
#[derive(Serialize, ToSchema)]
struct ProjectDocument<'a> {
    /// Its name.
    #[schema(value_type = String)]
    project: ProjectId,
    /// What its title page says: `title`, `authors`, `language` and more.
    #[schema(value_type = Object)]
    metadata: &'a Metadata,
    /// How many chapters it has.
    chapter_count: usize,
    /// A page of them, in order.
    chapters: Vec<ListedChapter<'a>>,
    /// How many pictures it has.
    asset_count: usize,
    /// A page of them.
    assets: Vec<ListedAsset<'a>>,
    /// The cursor of the next page, where there are more of either.
    next: Option<String>,
}

/// A chapter of a book.
#[derive(Serialize, ToSchema)]
struct ListedChapter<'a> {
    /// Its place, counted from 1: by this it is read.
    number: usize,
    /// Its title.
    title: &'a str,
    /// Its file's name, by which other chapters link to it.
    name: Cow<'a, str>,
}

/// A picture of a book.
#[derive(Serialize, ToSchema)]
struct ListedAsset<'a> {
    /// By which chapters refer to it.
    name: &'a str,
    /// What it is.
    media_type: &'a str,
    /// Its size.
    bytes: u64,
}

impl<'a> ProjectDocument<'a> {
    /// So many chapters and pictures at most, behind the first `after` of each.
    fn of(project: ProjectId, book: &'a Book, after: usize, most: usize) -> Self {
        let chapter = |(place, entry): (usize, book::ListedChapter<'a>)| ListedChapter {
            number: place + 1,
            title: entry.title,
            name: entry.name(),
        };
        let asset = |asset: &'a Asset| ListedAsset {
            name: &asset.name,
            media_type: &asset.media_type,
            bytes: asset.bytes,
        };
        Self {
            project,
            metadata: &book.metadata,
            chapter_count: book.chapters.len(),
            chapters: book.chapters.iter().enumerate().skip(after).take(most).map(chapter).collect(),
            asset_count: book.assets.len(),
            assets: book.assets.iter().skip(after).take(most).map(asset).collect(),
            next: Some(after.saturating_add(most))
                .filter(|end| *end < book.chapters.len().max(book.assets.len()))
                .map(|end| end.to_string()),
        }
    }
}

/// The book of a project, and its turn to be in memory where it is large.
async fn open(
    state: &ApiState,
    caller: &Caller,
    project: &ProjectId,
) -> Result<(ProjectReader, Option<SemaphorePermit<'static>>), Problem> {
    let storage = storage_of(state, caller, project);
    match storage.head(&key(["book.json"])).await {
        Ok(meta) => {
            let turn = match meta.size {
                LARGE_BYTES.. => Some(LARGE.acquire().await.map_err(Problem::internal)?),
                _ => None,
            };
            Ok((ProjectReader::open(storage).await?, turn))
        }
        Err(object_store::Error::NotFound { .. }) => {
            Err(Problem::not_found(format_args!("book in a project {project}")))
        }
        Err(error) => Err(Problem::unavailable(error)),
    }
}

/// Look at a project's book
///
/// Its title page, and a page of its chapters and its pictures.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}",
    tag = "projects",
    params(("project" = String, Path, description = "Its name"), PageQuery),
    responses(
        (status = OK, description = "The book", body = ProjectDocument<'static>),
    ),
    extensions(("x-permission" = json!("projects:read")))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(project): Path<ProjectId>,
    Query(page): Query<PageQuery>,
) -> Result<Response, Problem> {
    let after = page.cursor().map(str::parse).transpose().map_err(|_| PageQuery::bad_cursor())?;
    let most = page.limit()?;
    let (reader, _turn) = open(&state, &caller, &project).await?;
    Ok(Json(ProjectDocument::of(project, reader.book(), after.unwrap_or(0), most)).into_response())
}

/// Read a chapter
///
/// Its Markdown, as it is on storage.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/chapters/{number}",
    tag = "projects",
    params(
        ("project" = String, Path, description = "The project's name"),
        ("number" = usize, Path, description = "The chapter's place, counted from 1", minimum = 1),
    ),
    responses(
        (status = OK, description = "The chapter", body = String, content_type = "text/markdown"),
    ),
    extensions(("x-permission" = json!("projects:read")))
)]
async fn chapter(
    State(state): State<ApiState>,
    caller: Caller,
    Path((project, number)): Path<(ProjectId, usize)>,
) -> Result<Response, Problem> {
    let (reader, _turn) = open(&state, &caller, &project).await?;
    let entry = number.checked_sub(1).and_then(|place| reader.book().chapters.get(place));
    let entry =
        entry.ok_or_else(|| Problem::not_found(format_args!("chapter {number} in project {project}")))?;
    let mut response = reader.chapter(entry).await?.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/markdown; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// Remove a project
///
/// Its book and its characters, for good. What was exported of it stays.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}",
    tag = "projects",
    params(("project" = String, Path, description = "Its name")),
    responses(
        (status = NO_CONTENT, description = "It is gone"),
        (status = "5XX", description = "Not now: some of it may be there still; remove it again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    extensions(("x-permission" = json!("projects:write")))
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path(project): Path<ProjectId>,
) -> Result<StatusCode, Problem> {
    let storage = storage_of(&state, &caller, &project);
    if !exists(&*storage).await? {
        return Err(unknown(&project));
    }
    // The description first: nobody finds a book that is half gone.
    match storage.delete(&key(["book.json"])).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => return Err(Problem::unavailable(error)),
    }
    let (mut removed, mut objects) = (0_u64, {
        let keys = storage.list(None).map_ok(|object| object.location).boxed();
        storage.delete_stream(keys)
    });
    while let Some(deleted) = objects.next().await {
        match deleted {
            Ok(_) => removed += 1,
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(Problem::unavailable(error)),
        }
    }
    let entry = Entry::new(Action::ProjectRemoved).to(project.as_str()).with("objects", removed);
    state.audit(&caller, entry).await;
    Ok(StatusCode::NO_CONTENT)
}
