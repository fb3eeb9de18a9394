//! `/v1/secrets`: keys of providers and other secrets of the caller's tenant. Values go in and never come out; no error quotes
//! one.

use std::fmt;

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    Routes,
    caller::Caller,
    extract::{Path, Query},
    page::{PageOf, PageQuery},
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::{
    domain::Timestamp,
    security::vault::{SecretFacts, SecretName, VaultError},
};

/// What `/v1/secrets` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, set, remove))
}

/// What may be shown of a secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Secret)]
struct SecretDocument {
    /// What it is called.
    #[schema(value_type = String)]
    name: SecretName,
    /// Rises with each new value; 1 for the first.
    version: u64,
    /// When it was stored first.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its value was stored.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
    /// By whom.
    changed_by: String,
    /// With which data key it is sealed.
    sealed_with: Option<String>,
}

impl From<SecretFacts> for SecretDocument {
    fn from(facts: SecretFacts) -> Self {
        let SecretFacts { name, version, created_at, changed_at, changed_by, sealed_with } = facts;
        let sealed_with = sealed_with.map(|key| key.to_string());
        Self { name, version, created_at, changed_at, changed_by, sealed_with }
    }
}

/// A value to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ValueBody {
    /// It: 1 to 65,536 bytes of text, never to be had again.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 65_536)]
    value: Value,
}

/// Text that can't be printed, and of which no error says anything.
struct Value(SecretString);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value(SecretString::from(text)))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
                let text = Zeroizing::new(text);
                Ok(Value(SecretString::from(text.as_str())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// The body, read without a word of it in an error, and wiped as far as it is ours alone.
struct Secret(ValueBody);

impl<S: Send + Sync> FromRequest<S> for Secret {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        if kind.as_deref() != Some("application/json") {
            let problem = "send JSON, with `Content-Type: application/json`";
            return Err(Problem::new(ProblemType::UnsupportedMediaType, problem));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(ProblemType::TooLarge, "the body has more bytes than this operation takes")
            }
            _ => Problem::new(ProblemType::Invalid, "the body could not be read"),
        })?;
        let read = serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            // serde's own words may quote what was sent.
            let place = format_args!("line {}, column {}", error.line(), error.column());
            let (kind, what) = if error.is_data() {
                (ProblemType::Unprocessable, "the body is not {\"value\": \"…\"}")
            } else {
                (ProblemType::Invalid, "the body is no JSON")
            };
            Problem::new(kind, format_args!("{what} ({place})"))
        });
        if let Ok(mut bytes) = bytes.try_into_mut() {
            bytes.as_mut().zeroize();
        }
        read
    }
}

/// List secrets
///
/// By name; never a value.
#[utoipa::path(
    get,
    path = "/v1/secrets",
    tag = "secrets",
    params(PageQuery),
    responses(
        (status = OK, description = "A page of secrets", body = PageOf<SecretDocument>),
    ),
    extensions(("x-permission" = json!("secrets:read")))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Response, Problem> {
    let after = page.cursor().map(str::parse::<SecretName>).transpose();
    let after = after.map_err(|_| PageQuery::bad_cursor())?;
    let found = state.engine().vault.list(caller.tenant(), after.as_ref(), page.limit()?).await?;
    let items = found.items.into_iter().map(SecretDocument::from).collect();
    Ok(Json(PageOf { items, next: found.next.map(|name| name.to_string()) }).into_response())
}

/// Look at a secret
///
/// Its version and times; never its value.
#[utoipa::path(
    get,
    path = "/v1/secrets/{name}",
    tag = "secrets",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = OK, description = "What may be shown of it", body = SecretDocument),
    ),
    extensions(("x-permission" = json!("secrets:read")))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    // What can't be a name names nothing.
    let name = name.parse::<SecretName>().map_err(|_| no_secret())?;
    let found = state.engine().vault.facts(caller.tenant(), &name).await?.ok_or_else(no_secret)?;
    Ok(Json(SecretDocument::from(found)).into_response())
}

/// Store a secret
///
/// Its first value, or a new one. Handlers get it from now on; a process that has read the old one lately within ten seconds.
#[utoipa::path(
    put,
    path = "/v1/secrets/{name}",
    tag = "secrets",
    params(("name" = String, Path, description = "1 to 100 of a-z, 0-9, _, . and -")),
    request_body = ValueBody,
    responses(
        (status = CREATED, description = "It is there now", body = SecretDocument),
        (status = OK, description = "It has a new value", body = SecretDocument),
    ),
    extensions(("x-permission" = json!("secrets:write")))
)]
async fn set(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    Secret(ValueBody { value: Value(value) }): Secret,
) -> Result<Response, Problem> {
    let name = name.parse::<SecretName>();
    let name = name.map_err(|error| Problem::at(ProblemType::Unprocessable, "name", error))?;
    let stored = state.engine().vault.set(caller.tenant(), &name, &value, &caller.acting()).await?;
    let status = if stored.version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(SecretDocument::from(stored))).into_response())
}

/// Remove a secret
///
/// Handlers that ask for it fail from now on; a process that has read it lately within ten seconds.
#[utoipa::path(
    delete,
    path = "/v1/secrets/{name}",
    tag = "secrets",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = NO_CONTENT, description = "It is gone"),
    ),
    extensions(("x-permission" = json!("secrets:write")))
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let name = name.parse::<SecretName>().map_err(|_| no_secret())?;
    if state.engine().vault.remove(caller.tenant(), &name, &caller.acting()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_secret())
    }
}

fn no_secret() -> Problem {
    Problem::not_found("such secret")
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Unknown { .. } => no_secret(),
            VaultError::Invalid(problem) => Self::at(ProblemType::Unprocessable, "/value", problem),
            VaultError::TooMany { .. } => Self::new(ProblemType::Conflict, error),
            VaultError::Broken { .. } => Self::internal(error),
            VaultError::Keyring(error) => error.into(),
            VaultError::Store(error) => error.into(),
        }
    }
}
