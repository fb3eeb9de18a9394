//! The checkpoint of an attempt's job: the handler's own, and beside it the states of unfinished uploads. Owns: how both
//! stand in the one that the queue keeps. Must not know: what is in either.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::keeper::{LeaseHandle, Order};
use crate::{
    artifact::{ArtifactError, Ledger, UploadState},
    domain::{Checkpoint, Failure, FileName},
    queue::QueueError,
};

/// What the queue keeps where there are uploads; without any it is the handler's bytes alone.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    /// Tells it from a handler's own checkpoint.
    #[serde(rename = "presswork-checkpoint")]
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handler: Option<Box<RawValue>>,
    artifacts: BTreeMap<FileName, UploadState>,
}

/// What any version's envelope has.
#[derive(Deserialize)]
struct Mark {
    #[serde(rename = "presswork-checkpoint")]
    _version: IgnoredAny,
}

fn is_envelope(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Mark>(bytes).is_ok()
}

/// A checkpoint with uploads that this program can't read: leave it to a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the job's checkpoint needs a newer program: update this one")]
pub(crate) struct Unreadable;

/// A checkpoint, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parted {
    /// The handler's.
    pub(crate) handler: Option<Bytes>,
    /// Uploads that may be gone on with, by the names of their artifacts.
    pub(crate) artifacts: BTreeMap<FileName, UploadState>,
}

impl Parted {
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn of(checkpoint: Option<&Checkpoint>) -> Result<Self, Unreadable> {
        let Some(Checkpoint(bytes)) = checkpoint else { return Ok(Self::default()) };
        match serde_json::from_slice::<Envelope>(bytes) {
            Ok(Envelope { version: 1, handler, artifacts }) => {
                let handler = handler.map(|json| Bytes::from(json.get().to_owned()));
                Ok(Self { handler, artifacts })
            }
            _ if is_envelope(bytes) => Err(Unreadable),
            _ => Ok(Self { handler: Some(bytes.clone()), artifacts: BTreeMap::new() }),
        }
    }

    fn joined(&self) -> Result<Checkpoint, String> {
        let handler = match &self.handler {
            // One that looks like an envelope needs one of ours around it.
            Some(bytes) if self.artifacts.is_empty() && !is_envelope(bytes) => {
                return Ok(Checkpoint(bytes.clone()));
            }
            Some(bytes) => {
                let json = String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())?;
                Some(RawValue::from_string(json).map_err(|error| error.to_string())?)
            }
            None => None,
        };
        let envelope = Envelope { version: 1, handler, artifacts: self.artifacts.clone() };
        serde_json::to_vec(&envelope).map(|json| Checkpoint(json.into())).map_err(|error| error.to_string())
    }

    /// How many bytes the handler has (a state's bound covers its name), so that no upload ever outgrows the rest.
    fn room(&self) -> usize {
        let artifacts = self.artifacts.len() * UploadState::MOST_BYTES;
        let envelope = if artifacts == 0 { 0 } else { 128 };
        Checkpoint::MOST_BYTES.saturating_sub(artifacts + envelope)
    }
}

/// The checkpoint of the attempt that holds a lease. One save at a time: the newest is the last.
pub(crate) struct Checkpoints {
    lease: LeaseHandle,
    begun: Parted,
    is_readable: bool,
    now: Mutex<Parted>,
}

impl Checkpoints {
    pub(crate) fn new(lease: LeaseHandle, checkpoint: Option<&Checkpoint>) -> Self {
        let parted = Parted::of(checkpoint);
        let is_readable = parted.is_ok();
        let begun = parted.unwrap_or_default();
        Self { lease, is_readable, now: Mutex::new(begun.clone()), begun }
    }

    /// Where the last attempt's can't be read, nothing must be kept in its place.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn check(&self) -> Result<(), Unreadable> {
        self.is_readable.then_some(()).ok_or(Unreadable)
    }

    /// What the handler of an earlier attempt has saved.
    pub(crate) fn handler(&self) -> Option<&Bytes> {
        self.begun.handler.as_ref()
    }

    /// The upload of an artifact that may be gone on with.
    pub(crate) async fn upload(&self, name: &FileName) -> Option<UploadState> {
        self.now.lock().await.artifacts.get(name).cloned()
    }

    /// All of them.
    pub(crate) async fn uploads(&self) -> BTreeMap<FileName, UploadState> {
        self.now.lock().await.artifacts.clone()
    }

    /// Saves the handler's; waits for an outage as long as the lease holds.
    pub(crate) async fn save(&self, handler: Bytes) -> Result<(), Failure> {
        let mut now = self.now.lock().await;
        let (size, most) = (handler.len(), now.room());
        if size > most {
            return Err(Failure::fatal(format_args!("the checkpoint has {size} bytes, at most {most} fit")));
        }
        let before = now.handler.replace(handler);
        let saved = self.store(&now).await;
        if saved.is_err() {
            now.handler = before;
        }
        saved
    }

    async fn store(&self, parted: &Parted) -> Result<(), Failure> {
        let checkpoint = parted.joined().map_err(Failure::fatal)?;
        let mut pause = Duration::from_millis(50);
        loop {
            // A store that never answers holds nobody beyond the lease.
            let saved = tokio::select! {
                biased;
                saved = self.lease.save(checkpoint.clone()) => saved,
                () = self.lease.told(Order::Lost) => return Err(Failure::LeaseLost),
            };
            if self.lease.order() == Order::Lost {
                return Err(Failure::LeaseLost);
            }
            match saved {
                Ok(()) => return Ok(()),
                Err(QueueError::Invalid(problem)) => return Err(Failure::fatal(problem)),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

#[async_trait]
impl Ledger for Checkpoints {
    async fn keep(&self, name: &FileName, state: Option<UploadState>) -> Result<(), ArtifactError> {
        let mut now = self.now.lock().await;
        let mut next = now.clone();
        let is_kept = state.is_some();
        let had = match state {
            Some(state) => next.artifacts.insert(name.clone(), state),
            None => next.artifacts.remove(name),
        };
        if had.is_none() && next.handler.as_ref().map_or(0, Bytes::len) > next.room() {
            return Err(ArtifactError::Invalid(
                "its state does not fit into the job's checkpoint".to_owned(),
            ));
        }
        // Whatever becomes of the try, this is what the queue may have: a state from before it is tried, and until it is
        // gone for certain.
        if is_kept {
            now.clone_from(&next);
        }
        self.store(&next).await.map_err(|failure| match failure {
            Failure::LeaseLost => ArtifactError::LeaseLost,
            failure => ArtifactError::Invalid(failure.to_string()),
        })?;
        *now = next;
        Ok(())
    }

    fn holds(&self) -> bool {
        self.lease.order() != Order::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handlers_checkpoint_stands_alone_where_there_are_no_uploads_and_is_found_among_them() {
        let handler = Checkpoint(Bytes::from_static(b"{\"page\": 7}"));
        let parted = Parted::of(Some(&handler)).unwrap();
        assert_eq!(parted.joined().unwrap(), handler);
        let state: UploadState = serde_json::from_value(serde_json::json!({
            "version": 1, "program": "p", "epoch": 3, "upload": "u", "encoding": "zstd", "source": "s"
        }))
        .unwrap();
        let both = Parted { artifacts: [("a.txt".parse().unwrap(), state)].into(), ..parted };
        assert_eq!(Parted::of(Some(&both.joined().unwrap())), Ok(both.clone()));
        assert!(both.room() < Checkpoint::MOST_BYTES - UploadState::MOST_BYTES);
        let alone = Parted { handler: None, ..both };
        assert_eq!(Parted::of(Some(&alone.joined().unwrap())), Ok(alone));
        for other in ["[]", "{}", "not JSON"] {
            let other = Checkpoint(Bytes::from_static(other.as_bytes()));
            assert_eq!(Parted::of(Some(&other)).unwrap().handler, Some(other.0));
        }
        for newer in
            ["{\"presswork-checkpoint\":2}", "{\"presswork-checkpoint\":1,\"artifacts\":{},\"more\":0}"]
        {
            let bytes = Bytes::from_static(newer.as_bytes());
            assert_eq!(Parted::of(Some(&Checkpoint(bytes.clone()))), Err(Unreadable));
            let handlers = Parted { handler: Some(bytes), artifacts: BTreeMap::new() };
            assert_eq!(Parted::of(Some(&handlers.joined().unwrap())), Ok(handlers));
        }
    }
}
