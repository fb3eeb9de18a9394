//! Giving work: one job.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    api::{
        caller::Caller,
        documents::UniqueDocument,
        extract::Body,
        problem::{Problem, ProblemType},
        state::ApiState,
    },
    domain::{BatchId, IdempotencyKey, JobId, KindName, NewJob, Priority, Timestamp, Unique},
    queue::Enqueued,
    security::access::Permission,
    worker::PayloadError,
};

/// Work to be done.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewJob)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewJobBody {
    /// What it is.
    #[schema(value_type = String, example = "export")]
    kind: KindName,
    /// What it is to do, as its kind says.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
    /// Before or after its siblings: urgent, high, normal or low.
    #[serde(default)]
    #[schema(value_type = String, default = "normal")]
    priority: Priority,
    /// Not before this.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<Timestamp>,
    /// A second job with the same key, of the same kind, is answered with the first. The header `Idempotency-Key` says the same.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    pub(super) idempotency_key: Option<IdempotencyKey>,
    /// No second job of this key while the first is in the window.
    #[serde(default)]
    #[schema(value_type = Option<UniqueDocument>)]
    unique: Option<Unique>,
    /// Jobs that have to complete first.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 100)]
    after: Vec<JobId>,
    /// The open batch that it belongs to.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    batch: Option<BatchId>,
}

/// What became of a job at the door.
#[derive(Serialize, ToSchema)]
struct Accepted {
    /// Its id.
    #[schema(value_type = String)]
    id: JobId,
    /// Whether it was there before.
    duplicate: bool,
}

/// The header `Idempotency-Key`: the key as it is, or as a string of RFC 9651 in its quotes.
pub(super) struct KeyHeader(pub(super) Option<IdempotencyKey>);

impl KeyHeader {
    fn read(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
        let mut given = headers.get_all("idempotency-key").iter();
        let Some(value) = given.next() else { return Ok(None) };
        let wrong =
            |detail: &dyn std::fmt::Display| Problem::at(ProblemType::Invalid, "Idempotency-Key", detail);
        if given.next().is_some() {
            return Err(wrong(&"send it once"));
        }
        let text = value.to_str().unwrap_or_default().trim();
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let key =
            quoted.map_or_else(|| text.to_owned(), |text| text.replace("\\\"", "\"").replace("\\\\", "\\"));
        key.parse().map(Some).map_err(|error| wrong(&error))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for KeyHeader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.headers).map(Self)
    }
}

/// A body's job, once the caller may make it.
///
/// # Errors
/// [`Problem`] where he may not, or the payload is not one of the kind.
pub(in crate::api) async fn read_job(
    state: &ApiState,
    caller: &Caller,
    kind: &KindName,
    payload: &RawValue,
) -> Result<NewJob, Problem> {
    caller.needs(&Permission::create(kind))?;
    let engine = state.engine();
    let id = JobId::new(engine.clock.now(), &*engine.random);
    let payload = Bytes::copy_from_slice(payload.get().as_bytes());
    match state.registry().new_job(id, caller.tenant().clone(), kind, payload) {
        Ok(job) => Ok(job),
        Err(error) => Err(Box::pin(refused(state, caller, error)).await),
    }
}

/// What is wrong with a payload. Of one that would have been sealed nothing is quoted: others may read answers on their way.
async fn refused(state: &ApiState, caller: &Caller, error: PayloadError) -> Problem {
    let (PayloadError::Unreadable { problem, .. } | PayloadError::Wrong { problem, .. }) = &error else {
        return error.into();
    };
    if !state.engine().keyring.seals(caller.tenant()).await.unwrap_or(true) {
        return error.into();
    }
    let text = format!(
        "the payload is {}{}; it is not quoted, for it is to be sealed",
        error.class(),
        place(problem)
    );
    Problem::at(ProblemType::Unprocessable, "/payload", text)
}

/// The end of a parser's words that says where: ` at line 1 column 7`.
fn place(problem: &str) -> &str {
    let end = problem.rfind(" at line ").map_or("", |at| &problem[at..]);
    let mut words = end.split_whitespace();
    let is_number =
        |word: Option<&str>| word.is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    let is_place = words.nth(1) == Some("line") && is_number(words.next());
    if is_place && words.next() == Some("column") && is_number(words.next()) && words.next().is_none() {
        end
    } else {
        ""
    }
}

impl NewJobBody {
    /// The job that it means, under the key of the header where there is one.
    pub(super) async fn job(
        self,
        state: &ApiState,
        caller: &Caller,
        header: Option<IdempotencyKey>,
    ) -> Result<NewJob, Problem> {
        let job = read_job(state, caller, &self.kind, &self.payload).await?;
        let idempotency_key = match (header, self.idempotency_key) {
            (Some(header), Some(body)) if header != body => {
                let detail = "it is another than the header Idempotency-Key: send one of them";
                return Err(Problem::at(ProblemType::Unprocessable, "/idempotency_key", detail));
            }
            (header, body) => header.or(body),
        };
        Ok(NewJob {
            priority: self.priority,
            run_at: self.run_at,
            idempotency_key,
            unique: self.unique,
            after: self.after,
            batch: self.batch,
            ..job
        })
    }
}

/// Give work
///
/// Once this has answered, the job is kept. A call that is repeated with the same `Idempotency-Key`, for the same kind, is
/// answered with the job that the first one made, for as long as that is kept.
#[utoipa::path(
    post,
    path = "/v1/jobs",
    tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "Your word for this very request: 1 to 200 printable ASCII characters, with or without quotes")),
    request_body = NewJobBody,
    responses(
        (status = CREATED, description = "The job is kept", body = Accepted, headers(("Location" = String, description = "The job"))),
        (status = OK, description = "It was there before", body = Accepted, headers(("Location" = String, description = "The job"))),
    ),
    extensions(("x-permission" = json!("jobs:create:*")))
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    KeyHeader(key): KeyHeader,
    Body(body): Body<NewJobBody>,
) -> Result<Response, Problem> {
    let job = body.job(&state, &caller, key).await?;
    let answers = state.engine().queue.enqueue(vec![job]).await?;
    let answer = answers.into_iter().next().ok_or_else(no_answer)??;
    let duplicate = matches!(answer, Enqueued::Duplicate(_));
    let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
    let location = format!("/v1/jobs/{}", answer.id());
    let accepted = Json(Accepted { id: answer.id(), duplicate });
    Ok((status, [(header::LOCATION, location)], accepted).into_response())
}

pub(super) fn no_answer() -> Problem {
    Problem::internal("the queue gave no answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_told_of_where_a_payload_is_wrong() {
        let said = "invalid type: string \"at line 5 column secret\", expected u8 at line 1 column 7";
        assert_eq!(place(said), " at line 1 column 7");
        for other in [
            "no format secret",
            "x at line 1 column secret",
            "x at line secret column 1",
            "x at line 1 column 7 secret",
        ] {
            assert_eq!(place(other), "", "{other}");
        }
    }

    fn read(values: &[&str]) -> Result<Option<IdempotencyKey>, ()> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("idempotency-key", value.parse().unwrap());
        }
        KeyHeader::read(&headers).map_err(|_| ())
    }

    #[test]
    fn a_key_comes_with_or_without_quotes_and_once() {
        let key: IdempotencyKey = "a-1".parse().unwrap();
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["a-1"]), Ok(Some(key.clone())));
        assert_eq!(read(&["\"a-1\""]), Ok(Some(key)));
        assert_eq!(read(&["\"a\\\"b\""]), Ok(Some("a\"b".parse().unwrap())));
        for wrong in [&["a", "b"][..], &[""], &["\"\""], &["a b"], &[&"x".repeat(201)]] {
            assert_eq!(read(wrong), Err(()), "{wrong:?}");
        }
    }
}
