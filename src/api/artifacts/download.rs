//! `GET /v1/jobs/{job}/artifacts/{name}`: an artifact, decoded on its way, or as it is stored where the caller takes that.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
};

use super::{find, problem, store};
use crate::{
    api::{
        caller::Caller,
        content::{Binary, Content, accepts},
        extract::Path,
        problem::Problem,
        state::ApiState,
        transfer,
    },
    artifact::Manifest,
    domain::{Encoding, FileName, JobId},
};

/// Download what a job has made
///
/// Decoded on the way; or as it is stored, with its `Content-Encoding`, where `Accept-Encoding` asks for that and it is not
/// sealed. `ETag` is the SHA-256 of what is decoded (and another one for what is not). A range is one of what is sent; several
/// at once are answered by all of it. What is found damaged on the way breaks the connection: who got all the bytes that
/// `Content-Length` has promised got those that were written.
#[utoipa::path(
    get,
    path = "/v1/jobs/{job}/artifacts/{name}",
    tag = "artifacts",
    params(
        ("job" = String, Path, description = "The job's id"),
        ("name" = String, Path, description = "The artifact's name within the job"),
        ("Range" = Option<String>, Header, description = "Some of its bytes: bytes=0-499, bytes=500-, bytes=-500"),
        ("If-Range" = Option<String>, Header, description = "The range only of what has this ETag, else all"),
        ("If-Match" = Option<String>, Header, description = "Only what has one of these ETags"),
        ("If-None-Match" = Option<String>, Header, description = "Only what has none of these ETags"),
        ("Accept-Encoding" = Option<String>, Header, description = "zstd, gzip or br: as it is stored"),
    ),
    responses(
        (status = OK, description = "All of it", body = Binary, content_type = "application/octet-stream"),
        (status = PARTIAL_CONTENT, description = "A range of it", body = Binary, content_type = "application/octet-stream"),
        (status = NOT_MODIFIED, description = "The caller has it already"),
    ),
    extensions(("x-permission" = json!("artifacts:read")), ("x-timeout" = json!("none")))
)]
pub(super) async fn download(
    State(state): State<ApiState>,
    caller: Caller,
    Path((job, name)): Path<(JobId, FileName)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pointer = find(&state, &caller, job, &name).await?;
    let store = store(&state, &caller);
    let manifest = store.manifest(&pointer).await.map_err(problem)?;
    let encoding = encoding(&manifest).filter(|encoding| accepts(&headers, encoding));
    let content = Content {
        name: &name,
        content_type: &pointer.content_type,
        encoding,
        bytes: if encoding.is_some() { manifest.stored_bytes } else { manifest.plain_bytes },
        etag: match encoding {
            Some(encoding) => format!("\"{}-{encoding}\"", pointer.sha256),
            None => format!("\"{}\"", pointer.sha256),
        },
    };
    let range = match content.wanted(&method, &headers) {
        Ok(range) => range,
        Err(answer) => return Ok(*answer),
    };
    if method == Method::HEAD {
        return Ok(content.respond(None, Body::empty()));
    }
    let place = transfer::SENDING.enter(caller.tenant())?;
    let promised = range.as_ref().map_or(content.bytes, |range| range.end - range.start);
    let bytes = match encoding {
        Some(_) => store.read_stored(&manifest, range.clone()).await,
        None => store.read_plain(manifest, range.clone()).await,
    };
    let idle = state.settings().transfer_idle_timeout;
    let body = transfer::body(bytes.map_err(problem)?, promised, idle, place);
    Ok(content.respond(range, body).into_response())
}

/// What HTTP calls the encoding in which an artifact can be sent as it is stored.
fn encoding(manifest: &Manifest) -> Option<&'static str> {
    if manifest.seal.is_some() {
        return None;
    }
    match manifest.encoding {
        Encoding::Zstd => Some("zstd"),
        Encoding::Brotli => Some("br"),
        // Browsers read the first member of a gzip file, and throw the others away without a word.
        Encoding::Gzip if manifest.frames.len() <= 1 => Some("gzip"),
        Encoding::Gzip | Encoding::None => None,
    }
}
