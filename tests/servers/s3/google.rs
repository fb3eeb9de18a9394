//! The tests' S3 server, spoken to as Google's XML API is: a translation, written from Google's documentation, and no emulator.
//! What Google does that its documentation does not say is not shown by it.
//!
//! Translated: the headers (`x-goog-…` for `x-amz-…`), a bearer's token for a signature, a generation for each object
//! (`x-goog-generation`) and the condition on it (`x-goog-if-generation-match`, 0: there is none), the ETag of an object made of
//! parts (at Google it is not built from MD5s), 404 for removing what is not there. Everything else (multipart uploads with
//! ListParts and ListMultipartUploads, listings, ranges) is documented as S3 has it, and passed on.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, IF_MATCH},
};
use s3s::service::S3Service;
use tokio::sync::Mutex;

use super::{
    BUCKET,
    count::{Asked, Operation},
    door::{Answer, Behind, BoxError, between, refusal, whole},
};

/// What lets in.
pub(crate) const TOKEN: &str = "the-token-of-a-server-on-the-loopback";

const GENERATION: HeaderName = HeaderName::from_static("x-goog-generation");
const IF_GENERATION: &str = "x-goog-if-generation-match";

/// An object as Google knows it beside its bytes.
#[derive(Clone)]
struct Version {
    generation: u64,
    /// Where it is made of parts.
    etag: Option<String>,
}

pub(super) struct Google {
    server: S3Service,
    /// By key. Whoever changes an object holds it meanwhile: a condition and the change on it are one.
    versions: Mutex<(u64, BTreeMap<String, Version>)>,
}

impl Google {
    pub(super) fn over(server: S3Service) -> Self {
        // As at Google, numbers that are no counts from 1.
        Self { server, versions: Mutex::new((1_700_000_000_000_000, BTreeMap::new())) }
    }
}

#[async_trait]
impl Behind for Google {
    async fn answer(&self, mut request: Request<Bytes>) -> Result<Answer, BoxError> {
        let asked = Asked::of(&request);
        let token = request.headers_mut().remove(AUTHORIZATION);
        if token.as_ref().is_none_or(|token| token.as_bytes() != format!("Bearer {TOKEN}").as_bytes()) {
            return Ok(refusal(StatusCode::UNAUTHORIZED, "AuthenticationRequired"));
        }
        // As clients write it, encoded.
        let bucket = request.uri().path().trim_start_matches('/').split('/').next().unwrap_or_default();
        if bucket.replace("%2D", "-") != BUCKET {
            return Ok(refusal(StatusCode::NOT_FOUND, "NoSuchBucket"));
        }
        let wanted = request.headers_mut().remove(IF_GENERATION);
        renamed(request.headers_mut(), "x-goog-", "x-amz-");
        let mut versions = self.versions.lock().await;
        let known = versions.1.get(&asked.key).cloned();
        if let Some(wanted) = wanted {
            let there = known.as_ref().map_or(0, |known| known.generation);
            if wanted.to_str()?.parse::<u64>()? != there {
                return Ok(refusal(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
            }
        }
        match asked.operation {
            Operation::Put | Operation::CompleteUpload => {
                let answer = self.pass(request).await?;
                let (mut head, body) = answer.into_parts();
                let text = BodyExt::collect(body).await?.to_bytes();
                let mut words = String::from_utf8(text.to_vec())?;
                if head.status.is_success() && !words.contains("<Error>") {
                    versions.0 += 1_003;
                    let generation = versions.0;
                    let is_whole = asked.operation == Operation::CompleteUpload;
                    let etag = is_whole.then(|| format!("\"-{generation:x}CEAE=\""));
                    if let (Some(etag), Some(old)) = (&etag, between(&words, "<ETag>", "</ETag>")) {
                        words = words.replace(old, etag);
                    }
                    head.headers.insert(GENERATION, HeaderValue::from(generation));
                    head.headers.remove(CONTENT_LENGTH);
                    versions.1.insert(asked.key, Version { generation, etag });
                }
                Ok(Response::from_parts(head, whole(words)))
            }
            Operation::Delete if known.is_none() => Ok(refusal(StatusCode::NOT_FOUND, "NoSuchKey")),
            Operation::Delete => {
                versions.1.remove(&asked.key);
                self.pass(request).await
            }
            Operation::Get | Operation::Head => {
                drop(versions);
                self.read(request, known).await
            }
            Operation::DeleteMany | Operation::Other => {
                Ok(refusal(StatusCode::BAD_REQUEST, "InvalidArgument"))
            }
            _ => {
                drop(versions);
                self.pass(request).await
            }
        }
    }
}

impl Google {
    async fn read(&self, mut request: Request<Bytes>, known: Option<Version>) -> Result<Answer, BoxError> {
        let own = known.as_ref().and_then(|known| known.etag.clone());
        if let Some(own) = &own
            && let Some(wanted) = request.headers_mut().remove(IF_MATCH)
            && wanted.as_bytes() != own.as_bytes()
        {
            return Ok(refusal(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
        }
        let mut answer = self.pass(request).await?;
        if let Some(known) = known {
            answer.headers_mut().insert(GENERATION, HeaderValue::from(known.generation));
        }
        if let Some(own) = own {
            answer.headers_mut().insert(ETAG, own.parse()?);
        }
        Ok(answer)
    }

    async fn pass(&self, request: Request<Bytes>) -> Result<Answer, BoxError> {
        let mut answer = Behind::answer(&self.server, request).await?;
        renamed(answer.headers_mut(), "x-amz-", "x-goog-");
        Ok(answer)
    }
}

/// Gives headers whose names begin so another beginning.
fn renamed(headers: &mut HeaderMap, from: &str, to: &str) {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(from)).cloned().collect();
    for name in names {
        let (Some(value), other) = (headers.remove(&name), name.as_str().replacen(from, to, 1)) else {
            continue;
        };
        headers.insert(HeaderName::try_from(other).unwrap(), value);
    }
}
