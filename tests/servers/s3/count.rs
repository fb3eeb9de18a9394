//! What a request asks for, and how often each was asked and done.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use hyper::{Method, Request};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    CreateUpload,
    UploadPart,
    CompleteUpload,
    AbortUpload,
    ListParts,
    ListUploads,
    Put,
    Get,
    Head,
    Delete,
    DeleteMany,
    List,
    Other,
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    /// The object's key, as text; empty for the bucket.
    pub(crate) key: String,
    pub(crate) upload: Option<String>,
    pub(crate) part: Option<u32>,
}

impl Asked {
    /// Reads it off the method, the path and the query.
    pub(in crate::servers) fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path().trim_start_matches('/');
        let key = decoded(path.split_once('/').map_or("", |(_, key)| key));
        let query: BTreeMap<String, String> = request
            .uri()
            .query()
            .unwrap_or_default()
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let (upload, part) = (query.get("uploadId").cloned(), query.get("partNumber"));
        let part = part.and_then(|part| part.parse().ok());
        let has = |name: &str| query.contains_key(name);
        let operation = match (request.method(), key.is_empty()) {
            (&Method::POST, false) if has("uploads") => Operation::CreateUpload,
            (&Method::POST, false) if has("uploadId") => Operation::CompleteUpload,
            (&Method::PUT, false) if has("partNumber") => Operation::UploadPart,
            (&Method::PUT, false) => Operation::Put,
            (&Method::DELETE, false) if has("uploadId") => Operation::AbortUpload,
            (&Method::DELETE, false) => Operation::Delete,
            (&Method::GET, false) if has("uploadId") => Operation::ListParts,
            (&Method::GET, false) => Operation::Get,
            (&Method::HEAD, false) => Operation::Head,
            (&Method::GET, true) if has("uploads") => Operation::ListUploads,
            (&Method::GET, true) => Operation::List,
            (&Method::POST, true) if has("delete") => Operation::DeleteMany,
            _ => Operation::Other,
        };
        Self { operation, key, upload, part }
    }
}

/// Percent-encoded text as it was meant.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 3;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Where a multipart upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadState {
    Open,
    Completed,
    Aborted,
}

/// One part of one upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartCount {
    /// How often somebody began to send it.
    pub(crate) begun: u32,
    /// How often it was stored.
    pub(crate) stored: u32,
    /// How often somebody began to send it although it was stored.
    pub(crate) again: u32,
}

/// A multipart upload as the server has seen it.
#[derive(Clone, Debug)]
pub(crate) struct UploadCount {
    pub(crate) key: String,
    pub(crate) state: UploadState,
    pub(crate) parts: BTreeMap<u32, PartCount>,
}

/// What has come by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Requests that arrived, also those that were broken.
    pub(crate) arrived: BTreeMap<Operation, u32>,
    /// Requests that were done, also those whose answer was lost.
    pub(crate) done: BTreeMap<Operation, u32>,
    /// Multipart uploads by their id.
    pub(crate) uploads: BTreeMap<String, UploadCount>,
    /// Bytes of bodies of requests, as far as they came.
    pub(crate) bytes_in: u64,
    /// The most parts that were on their way at once.
    pub(crate) most_parts_at_once: u32,
    /// The keys of objects that were put, or completed.
    pub(crate) written: BTreeSet<String>,
    /// Requests that came to be held.
    pub(crate) held: u32,
    pub(super) parts_now: u32,
}

impl Figures {
    /// How many of these arrived.
    pub(crate) fn arrived(&self, operation: Operation) -> u32 {
        self.arrived.get(&operation).copied().unwrap_or_default()
    }

    /// How many of these were done.
    pub(crate) fn done(&self, operation: Operation) -> u32 {
        self.done.get(&operation).copied().unwrap_or_default()
    }

    /// Parts stored, of all uploads.
    pub(crate) fn parts_stored(&self) -> u32 {
        self.parts().map(|(_, part)| part.stored).sum()
    }

    /// Parts stored more than once, over all uploads to the same key: a restarted attempt that began anew counts too.
    pub(crate) fn parts_stored_twice(&self) -> u32 {
        let mut stored: BTreeMap<(&str, u32), u32> = BTreeMap::new();
        for upload in self.uploads.values() {
            for (number, part) in &upload.parts {
                *stored.entry((&upload.key, *number)).or_default() += part.stored;
            }
        }
        stored.values().map(|times| times.saturating_sub(1)).sum()
    }

    /// Parts that somebody began to send although the same upload had them.
    pub(crate) fn parts_sent_again(&self) -> u32 {
        self.parts().map(|(_, part)| part.again).sum()
    }

    /// How many uploads stand so.
    pub(crate) fn uploads(&self, state: UploadState) -> usize {
        self.uploads.values().filter(|upload| upload.state == state).count()
    }

    fn parts(&self) -> impl Iterator<Item = (u32, PartCount)> {
        self.uploads.values().flat_map(|upload| upload.parts.iter().map(|(number, part)| (*number, *part)))
    }

    /// A request has arrived.
    pub(super) fn has_arrived(&mut self, asked: &Asked) {
        *self.arrived.entry(asked.operation).or_default() += 1;
        if let Some(part) = self.part(asked) {
            part.begun += 1;
            part.again += u32::from(part.stored > 0);
        }
    }

    /// A request has been done; `upload` is the id of one that was created.
    pub(super) fn was_done(&mut self, asked: &Asked, created: Option<String>) {
        *self.done.entry(asked.operation).or_default() += 1;
        if let Some(id) = created {
            let (key, state) = (asked.key.clone(), UploadState::Open);
            self.uploads.insert(id, UploadCount { key, state, parts: BTreeMap::new() });
        }
        if let Some(part) = self.part(asked) {
            part.stored += 1;
        }
        if matches!(asked.operation, Operation::Put | Operation::CompleteUpload) {
            self.written.insert(asked.key.clone());
        }
        let state = match asked.operation {
            Operation::CompleteUpload => UploadState::Completed,
            Operation::AbortUpload => UploadState::Aborted,
            _ => return,
        };
        if let Some(upload) = asked.upload.as_ref().and_then(|id| self.uploads.get_mut(id)) {
            upload.state = state;
        }
    }

    fn part(&mut self, asked: &Asked) -> Option<&mut PartCount> {
        if asked.operation != Operation::UploadPart {
            return None;
        }
        let upload = self.uploads.get_mut(asked.upload.as_ref()?)?;
        Some(upload.parts.entry(asked.part?).or_default())
    }
}

impl fmt::Display for Figures {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "uploads: {} ({} open, {} aborted); parts stored: {}; parts uploaded twice: {}; MiB in: {:.1}",
            self.uploads.len(),
            self.uploads(UploadState::Open),
            self.uploads(UploadState::Aborted),
            self.parts_stored(),
            self.parts_stored_twice(),
            self.bytes_in as f64 / 1_048_576.0,
        )
    }
}
