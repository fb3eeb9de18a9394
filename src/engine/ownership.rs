//! Which queue a storage belongs to. A sweep removes what the queue knows no job of: on the storage of another queue that
//! would be everything. So both hold the same mark, and where they differ nothing is swept. Must not know: what is swept.

use object_store::{Error, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path};
use serde::{Deserialize, Serialize};

use super::Engine;
use crate::store::{Collection, StoreError};

/// No tenant's name begins with a dot.
const MARK: &str = ".presswork/queue";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct QueueMark {
    /// 32 hexadecimal digits, chosen once.
    id: String,
}

/// Whose a storage is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// This queue's.
    Ours,
    /// The queue's with this mark.
    Another(String),
}

impl Engine {
    /// Whose the storage is; marks one that nobody has marked yet.
    ///
    /// # Errors
    /// What can't be read or written, and why.
    pub(super) async fn storage_ownership(&self) -> Result<Ownership, String> {
        let ours = self.queue_mark().await.map_err(|error| error.to_string())?;
        let key = Path::from(MARK);
        let told = |error: Error| format!("its mark {MARK}: {error}");
        let found = match self.storage.get(&key).await {
            Err(Error::NotFound { .. }) => {
                let (payload, create) = (PutPayload::from(ours.clone()), PutOptions::from(PutMode::Create));
                match self.storage.put_opts(&key, payload.clone(), create).await {
                    // A storage that knows no such thing: two that mark it at one instant are told apart by the next look.
                    Err(Error::NotImplemented { .. }) => {
                        self.storage.put(&key, payload).await.map(drop).map_err(told)?;
                    }
                    Ok(_) | Err(Error::AlreadyExists { .. }) => {}
                    Err(error) => return Err(told(error)),
                }
                self.storage.get(&key).await
            }
            found => found,
        };
        let found = found.map_err(told)?.bytes().await.map_err(told)?;
        let found = String::from_utf8_lossy(&found).trim().to_owned();
        Ok(if found == ours { Ownership::Ours } else { Ownership::Another(found) })
    }

    /// The queue's own mark, made at first use.
    async fn queue_mark(&self) -> Result<String, StoreError> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        let fresh = format!("{:032x}", u128::from_be_bytes(bytes));
        let marks: Collection<QueueMark> = Collection::new(self.records.clone(), "engine");
        let kept = marks.update("queue", |mark| {
            mark.get_or_insert_with(|| QueueMark { id: fresh.clone() });
        });
        Ok(kept.await?.map_or(fresh, |mark| mark.id))
    }
}
