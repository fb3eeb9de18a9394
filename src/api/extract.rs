//! What handlers take from a request, with problems instead of axum's own words where it is wrong. Must not know: any resource.

use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::problem::{Problem, ProblemType};

/// A body of JSON.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Problem::new(
                ProblemType::UnsupportedMediaType,
                "send JSON, with `Content-Type: application/json`",
            )),
            Err(JsonRejection::JsonDataError(error)) => {
                Err(Problem::new(ProblemType::Unprocessable, error.body_text()))
            }
            Err(JsonRejection::BytesRejection(error)) if error.status() == 413 => {
                Err(Problem::new(ProblemType::TooLarge, "the body has more bytes than this operation takes"))
            }
            Err(error) => Err(Problem::new(ProblemType::Invalid, error.body_text())),
        }
    }
}

/// What stands behind the question mark.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        let query =
            query.map_err(|error: QueryRejection| Problem::new(ProblemType::Invalid, error.body_text()))?;
        Ok(Self(query.0))
    }
}

/// The names in the path. What can't be one names nothing: the answer is that there is no such thing.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(path) => Ok(Self(path.0)),
            Err(PathRejection::FailedToDeserializePathParams(_)) => Err(Problem::not_found("such resource")),
            Err(error) => Err(Problem::internal(error)),
        }
    }
}
