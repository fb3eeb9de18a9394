//! `PUT /v1/files/{name}`: takes a file as it comes, in the memory of two parts, whatever its size.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use super::{
    FileDocument,
    coming::Arrived,
    shelf::{Shelf, StoredFile, Used},
};
use crate::{
    api::{
        caller::Caller,
        content::{Binary, Condition},
        extract::Path,
        problem::{Problem, ProblemType},
        room::Place,
        state::ApiState,
        transfer::{self, Incoming},
    },
    artifact::LooseUpload,
    config::ApiSettings,
    domain::FileName,
    security::{
        audit::{Action, Entry, Outcome},
        text::hex,
    },
};

/// How long an upload that has all come waits for others that change the same file. A turn ends by itself before.
const PATIENCE: Duration = Duration::from_secs(90);

/// Upload a file
///
/// Of any size up to the installation's bound, in a stream: no `Content-Length` is needed. A file of that name is replaced once
/// the last byte has come, in one step; of an upload that is cut off nothing is seen, and nothing stays. `If-None-Match: *`
/// replaces nothing, `If-Match` only what the caller knows. An import then names the file by its `key`. A tenant's files are
/// bounded, in their number and their bytes: what would pass the bound is refused before it is sent where that can be told, else
/// once it has come.
#[utoipa::path(
    put,
    path = "/v1/files/{name}",
    tag = "projects",
    params(
        ("name" = String, Path, description = "Its name: in any script, at most 200 bytes, nothing that could be a path"),
        ("If-Match" = Option<String>, Header, description = "Replace only what has one of these ETags"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: replace nothing"),
    ),
    request_body(content = Binary, content_type = "application/octet-stream"),
    responses(
        (status = CREATED, description = "It is there now", body = FileDocument),
        (status = OK, description = "It has taken the place of another", body = FileDocument),
    ),
    extensions(("x-permission" = json!("projects:write")), ("x-timeout" = json!("none")))
)]
pub(super) async fn upload(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Admitted { shelf, name, place, most, full } = match admit(&state, &caller, &name, &headers).await {
        Ok(admitted) => admitted,
        Err(problem) => {
            transfer::pass_over(&headers, body).await;
            return Err(problem);
        }
    };
    let bounds = Bounds::of(state.settings());
    let incoming = Incoming::new(body, most, state.settings().transfer_idle_timeout);
    // A task of its own ends as it should, also where the caller goes away and the request with him.
    let taken = tokio::spawn(async move {
        let _place = place;
        let taken = take(shelf, name, headers, bounds, incoming).await;
        taken.map_err(|problem| full.filter(|_| problem.kind() == ProblemType::TooLarge).unwrap_or(problem))
    });
    taken.await.map_err(Problem::internal)?
}

/// A file that may come.
struct Admitted {
    shelf: Shelf,
    name: FileName,
    place: Place,
    /// So many bytes of it.
    most: u64,
    /// What to say of more, where it is the tenant's files together that would be too many bytes.
    full: Option<Problem>,
}

/// All that can be told before a byte of the file has come, so that nobody sends gigabytes for nothing.
async fn admit(
    state: &ApiState,
    caller: &Caller,
    name: &str,
    headers: &HeaderMap,
) -> Result<Admitted, Problem> {
    let name = match name.parse::<FileName>() {
        Ok(name) => name,
        Err(error) => {
            if name.contains("..") || name.contains(['/', '\\', '\0']) {
                let entry = Entry::new(Action::SuspiciousInput).ended(Outcome::Refused);
                state.audit(caller, entry.to("the name of a file").with("problem", &error)).await;
            }
            return Err(Problem::at(ProblemType::Unprocessable, "name", error));
        }
    };
    check(headers)?;
    let settings = state.settings();
    let most = settings.most_upload_bytes;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<u64>().ok()).unwrap_or(0);
    if announced > most {
        return Err(transfer::too_large(most));
    }
    let place = transfer::TAKING.enter(caller.tenant())?;
    let shelf = Shelf::of(state, caller.tenant());
    let there = shelf.find(&name).await?;
    condition(headers, there.as_ref())?;
    let (bounds, others) = (Bounds::of(settings), shelf.beside(&name, &BTreeMap::new()).await?);
    // What it replaces makes room for it.
    let room = bounds.room(others)?;
    let full = (room < most).then(|| bounds.no_room(room));
    match full {
        Some(problem) if announced > room || room == 0 => Err(problem),
        full => Ok(Admitted { shelf, name, place, most: most.min(room), full }),
    }
}

/// How much a tenant's files may be.
#[derive(Clone, Copy)]
struct Bounds {
    files: usize,
    bytes: u64,
}

impl Bounds {
    fn of(settings: &ApiSettings) -> Self {
        Self { files: settings.most_files, bytes: settings.most_bytes_of_files }
    }

    /// How many bytes one more beside these may have.
    fn room(self, others: Used) -> Result<u64, Problem> {
        if others.files >= self.files {
            let most = self.files;
            let detail =
                format!("the tenant has {most} files, which are the most: remove some of them first");
            return Err(Problem::new(ProblemType::TooLarge, detail));
        }
        Ok(self.bytes.saturating_sub(others.bytes))
    }

    fn no_room(self, room: u64) -> Problem {
        let most = self.bytes;
        let detail = format!(
            "a tenant's files may have {most} bytes together, of which {room} are left: remove some of them first"
        );
        Problem::new(ProblemType::TooLarge, detail)
    }
}

/// What can't be done with a body: part of a file, or one that has to be decoded first.
fn check(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(Problem::new(ProblemType::Invalid, "send the whole file: a part of one can't be put"));
    }
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            "send the file's own bytes, without a `Content-Encoding`",
        )),
        _ => Ok(()),
    }
}

fn condition(headers: &HeaderMap, there: Option<&StoredFile>) -> Result<(), Problem> {
    match Condition::of(headers, there.map(|file| file.etag.as_str()), false) {
        Condition::Holds => Ok(()),
        _ => Err(Condition::problem()),
    }
}

async fn take(
    shelf: Shelf,
    name: FileName,
    headers: HeaderMap,
    bounds: Bounds,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let mut upload = shelf.upload(&name);
    let sha256 = match receive(&mut upload, incoming).await {
        Ok(sha256) => sha256,
        Err(problem) => {
            upload.give_up().await;
            return Err(problem);
        }
    };
    let _ending = shelf.ending();
    let mut turn = match shelf.turn(&name, PATIENCE).await {
        Ok(turn) => turn,
        Err(problem) => {
            upload.give_up().await;
            return Err(problem);
        }
    };
    let ending = async {
        match shelf.arrivals().arrive(&name, upload.bytes()).await {
            Ok(arrived) => {
                let finishing = finish(&shelf, &name, &headers, bounds, &arrived, upload);
                let finished = arrived.counted_while(finishing).await;
                arrived.end().await;
                finished
            }
            Err(problem) => {
                upload.give_up().await;
                Err(problem)
            }
        }
    };
    let finished = turn.kept_while(ending).await;
    turn.end().await;
    let (status, file) = finished.unwrap_or_else(|| Err(Shelf::busy()))?;
    let document = FileDocument { sha256: Some(sha256), ..file.into() };
    let headers = [(header::ETAG, document.etag.clone())];
    Ok((status, headers, Json(document)).into_response())
}

/// Takes all of the body; answers its SHA-256.
async fn receive(upload: &mut LooseUpload, mut incoming: Incoming) -> Result<String, Problem> {
    let mut hash = Sha256::new();
    while let Some(bytes) = incoming.next().await? {
        hash.update(&bytes);
        let parts = upload.parts();
        upload.write(&bytes).await?;
        // Storage takes its time with a part; that is none of the sender's.
        if upload.parts() > parts {
            incoming.go_on();
        }
    }
    Ok(hex(&hash.finalize()))
}

/// Puts the file in its place, where that is still allowed.
async fn finish(
    shelf: &Shelf,
    name: &FileName,
    headers: &HeaderMap,
    bounds: Bounds,
    arrived: &Arrived,
    upload: LooseUpload,
) -> Result<(StatusCode, StoredFile), Problem> {
    let there = match may_finish(shelf, name, headers, bounds, arrived, upload.bytes()).await {
        Ok(there) => there,
        Err(problem) => {
            upload.give_up().await;
            return Err(problem);
        }
    };
    // The storage is told so, too, as far as it can be: not all who write to it are we.
    let only_new = there.is_none() && headers.contains_key(header::IF_NONE_MATCH);
    if !upload.finish(only_new).await? {
        return Err(Condition::problem());
    }
    let file = shelf.find(name).await?;
    let file = file.ok_or_else(|| Problem::unavailable("a file that was stored can't be found"))?;
    Ok((if there.is_some() { StatusCode::OK } else { StatusCode::CREATED }, file))
}

/// What it is going to replace. While it came others may have come, too: the tenant's bound is held against them once more.
async fn may_finish(
    shelf: &Shelf,
    name: &FileName,
    headers: &HeaderMap,
    bounds: Bounds,
    arrived: &Arrived,
    bytes: u64,
) -> Result<Option<StoredFile>, Problem> {
    let there = shelf.find(name).await?;
    condition(headers, there.as_ref())?;
    let room = bounds.room(shelf.beside(name, &arrived.before).await?)?;
    if bytes > room { Err(bounds.no_room(room)) } else { Ok(there) }
}
