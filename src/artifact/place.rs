//! Where an artifact and what belongs to its upload are.

use object_store::{Error, path::Path};

use super::{error::ArtifactError, key::key, storage::Storage};
use crate::domain::FileName;

/// An artifact's place: its folder is that of the attempt that began it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) storage: Storage,
    pub(super) folder: Path,
    pub(super) name: FileName,
}

/// The folder, in an attempt's, of what belongs to uploads.
pub(super) const UPLOADS: &str = ".uploads";
/// The folder, in an attempt's, of manifests.
pub(super) const MANIFESTS: &str = ".manifests";

impl Place {
    /// The artifact's own key.
    pub(super) fn object(&self) -> Path {
        key([self.folder.as_ref(), self.name.as_str()])
    }

    /// Its manifest's.
    pub(super) fn manifest(&self) -> Path {
        key([self.folder.as_ref(), MANIFESTS, &format!("{}.json", self.name)])
    }

    /// That of the marker that says that there is an upload, for the sweep.
    pub(super) fn marker(&self) -> Path {
        key([self.folder.as_ref(), UPLOADS, &format!("{}.json", self.name)])
    }

    /// That of a piece of its upload's lists, written under an epoch. Of two attempts that both write, neither changes what
    /// the other's state names.
    pub(super) fn piece(&self, number: usize, epoch: u64) -> Path {
        key([self.folder.as_ref(), UPLOADS, self.name.as_str(), &format!("{number:04}-{epoch:06}.json")])
    }

    /// Gives an upload up; what it had stored is removed, now or by the sweep.
    pub(super) async fn abort(&self, upload: &str) {
        let aborted = self.storage.multipart().abort_multipart(&self.object(), &upload.to_owned()).await;
        match aborted {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => {
                tracing::debug!(%error, object = %self.object(), "an upload could not be aborted: the sweep will do it");
            }
        }
    }

    /// What is stored at its key: how many bytes, and by which tag.
    pub(super) async fn stored(&self) -> Result<Option<(u64, Option<String>)>, ArtifactError> {
        use object_store::ObjectStoreExt as _;
        match self.storage.objects().head(&self.object()).await {
            Ok(meta) => Ok(Some((meta.size, meta.e_tag))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(ArtifactError::storage("look for an artifact", error)),
        }
    }
}
