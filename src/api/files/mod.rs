//! `/v1/files`: a tenant's own files, such as manuscripts that are to be imported. Owns: `<tenant>/files/<name>` on storage. `shelf`
//! keeps them, `upload` takes one, `coming` sees to their bound, `routes` are the others. What they mean is their tenant's affair.
//!
//! They lie on storage as they came, also where the tenant seals: sealing covers payloads and artifacts.

mod coming;
mod shelf;
mod upload;

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::shelf::{Shelf, StoredFile};
use super::{
    Routes,
    caller::Caller,
    content::{Binary, Condition, Content},
    extract::{Path, Query},
    page::{PageOf, PageQuery},
    problem::Problem,
    state::ApiState,
    transfer,
};
use crate::{
    domain::{FileName, Timestamp},
    security::audit::{Action, Entry},
};

/// What `/v1/files` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(download, upload::upload, remove))
}

/// A file of the tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = File)]
pub(super) struct FileDocument {
    /// Its name.
    #[schema(value_type = String)]
    name: FileName,
    /// By which a job's payload names it: an import takes `{"name": "…", "key": "files/…"}` in its `source`.
    key: String,
    /// Its size.
    bytes: u64,
    /// What its name says that it is.
    content_type: &'static str,
    /// When it was uploaded.
    #[schema(value_type = String, format = DateTime)]
    modified_at: Timestamp,
    /// Its validator, for `If-Match` and `If-None-Match`.
    etag: String,
    /// SHA-256 of its bytes, in hexadecimal digits; only in the answer to its upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    sha256: Option<String>,
}

impl From<StoredFile> for FileDocument {
    fn from(file: StoredFile) -> Self {
        Self {
            key: format!("{}/{}", shelf::FOLDER, file.name),
            content_type: content_type(&file.name),
            name: file.name,
            bytes: file.bytes,
            modified_at: file.modified_at,
            etag: file.etag,
            sha256: None,
        }
    }
}

/// List the tenant's files
///
/// By name.
#[utoipa::path(
    get,
    path = "/v1/files",
    tag = "projects",
    params(PageQuery),
    responses(
        (status = OK, description = "A page of files", body = PageOf<FileDocument>),
    ),
    extensions(("x-permission" = json!("projects:read")))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<FileDocument>>, Problem> {
    let after = page.cursor().map(str::parse::<FileName>).transpose();
    let after = after.map_err(|_| PageQuery::bad_cursor())?;
    let (files, next) = Shelf::of(&state, caller.tenant()).list(after.as_ref(), page.limit()?).await?;
    let items = files.into_iter().map(FileDocument::from).collect();
    Ok(Json(PageOf { items, next: next.map(|name| name.to_string()) }))
}

/// Download a file
#[utoipa::path(
    get,
    path = "/v1/files/{name}",
    tag = "projects",
    params(
        ("name" = String, Path, description = "Its name"),
        ("Range" = Option<String>, Header, description = "Some of its bytes: bytes=0-499, bytes=500-, bytes=-500"),
        ("If-Range" = Option<String>, Header, description = "The range only of what has this ETag, else all"),
        ("If-Match" = Option<String>, Header, description = "Only what has one of these ETags"),
        ("If-None-Match" = Option<String>, Header, description = "Only what has none of these ETags"),
    ),
    responses(
        (status = OK, description = "All of it", body = Binary, content_type = "application/octet-stream"),
        (status = PARTIAL_CONTENT, description = "A range of it", body = Binary, content_type = "application/octet-stream"),
        (status = NOT_MODIFIED, description = "The caller has it already"),
    ),
    extensions(("x-permission" = json!("projects:read")), ("x-timeout" = json!("none")))
)]
async fn download(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<FileName>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shelf = Shelf::of(&state, caller.tenant());
    let file = shelf.find(&name).await?.ok_or_else(|| unknown(&name))?;
    let content = Content {
        name: &name,
        content_type: content_type(&name),
        encoding: None,
        bytes: file.bytes,
        etag: file.etag.clone(),
    };
    let range = match content.wanted(&method, &headers) {
        Ok(range) => range,
        Err(answer) => return Ok(*answer),
    };
    if method == Method::HEAD {
        return Ok(content.respond(None, Body::empty()));
    }
    let place = transfer::SENDING.enter(caller.tenant())?;
    let asked = range.clone().unwrap_or(0..file.bytes);
    let promised = asked.end - asked.start;
    let bytes = shelf.read(&file, asked).await?;
    let body = transfer::body(bytes, promised, state.settings().transfer_idle_timeout, place);
    Ok(content.respond(range, body))
}

/// Remove a file
///
/// Jobs that name it and have not begun will not find it.
#[utoipa::path(
    delete,
    path = "/v1/files/{name}",
    tag = "projects",
    params(
        ("name" = String, Path, description = "Its name"),
        ("If-Match" = Option<String>, Header, description = "Only what has one of these ETags"),
    ),
    responses(
        (status = NO_CONTENT, description = "It is gone"),
    ),
    extensions(("x-permission" = json!("projects:write")))
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<FileName>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let shelf = Shelf::of(&state, caller.tenant());
    let turn = shelf.turn(&name, Duration::from_secs(5)).await?;
    let removed = async {
        let file = shelf.find(&name).await?.ok_or_else(|| unknown(&name))?;
        if Condition::of(&headers, Some(&file.etag), false) != Condition::Holds {
            return Err(Condition::problem());
        }
        shelf.remove(&name).await
    };
    let removed = removed.await;
    turn.end().await;
    removed?;
    state.audit(&caller, Entry::new(Action::FileRemoved).to(name.as_str())).await;
    Ok(StatusCode::NO_CONTENT)
}

fn unknown(name: &FileName) -> Problem {
    Problem::not_found(format_args!("file {name}"))
}

/// What a file's name says that it is. It is only ever saved, never shown.
fn content_type(name: &FileName) -> &'static str {
    let ending = name.as_str().rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref().unwrap_or_default() {
        "md" | "markdown" => "text/markdown",
        "txt" => "text/plain",
        "html" | "htm" => "text/html",
        "epub" => "application/epub+zip",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "jsonl" | "ndjson" => "application/x-ndjson",
        "csv" => "text/csv",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}
