//! An answer as the cache keeps it. Owns: its key and its form.

use bytes::Bytes;
use presswork::{
    cache::CacheKey,
    domain::{Failure, Reason},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::{Finish, ModelFacts, Request, Usage};

/// A whole answer, and what it has cost.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) text: String,
    finish: End,
    pub(super) usage: Usage,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    Stop,
    Length,
    Other(Reason),
}

/// What the same question to the same model is called in the tenant's cache.
pub(super) fn key(facts: &ModelFacts, request: &Request) -> Result<CacheKey, Failure> {
    let digest = Sha256::digest(request.canonical(facts));
    let hex = digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    format!("answer:{hex}").parse().map_err(Failure::fatal)
}

impl Kept {
    pub(super) fn new(text: String, finish: &Finish, usage: Usage) -> Result<Self, Failure> {
        let finish = match finish {
            Finish::Stop => End::Stop,
            Finish::Length => End::Length,
            Finish::Other(reason) => End::Other(reason.clone()),
            // No answer.
            Finish::Refused => return Err(Failure::fatal("an answer that was refused is none")),
        };
        Ok(Self { text, finish, usage })
    }

    pub(super) fn bytes(&self) -> Result<Bytes, Failure> {
        serde_json::to_vec(self).map(Bytes::from).map_err(Failure::fatal)
    }

    /// `None` where it is not one that this program writes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn finish(&self) -> Finish {
        match &self.finish {
            End::Stop => Finish::Stop,
            End::Length => Finish::Length,
            End::Other(reason) => Finish::Other(reason.clone()),
        }
    }
}
