//! What a storage key says of an artifact: whose it is, which job's, under which epoch, by what name.

use object_store::path::Path;

use super::{key::key, keys::sealed_object, store::attempt_folder};
use crate::domain::{FileName, JobId, TenantId};

/// What a storage key says of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) tenant: TenantId,
    pub(super) job: JobId,
    pub(super) epoch: u64,
    pub(super) name: FileName,
}

impl Address {
    /// Of a manifest: `<tenant>/artifacts/<job>/<epoch>/.manifests/<name>.json`.
    pub(super) fn of_manifest(key: &str) -> Option<Self> {
        let (folder, name) = key.split_once("/.manifests/")?;
        Self::of(folder, name.strip_suffix(".json")?)
    }

    /// Of the bytes: `<tenant>/artifacts/<job>/<epoch>/<name>`.
    pub(super) fn of_object(key: &str) -> Option<Self> {
        let (folder, name) = key.rsplit_once('/')?;
        Self::of(folder, name)
    }

    fn of(folder: &str, name: &str) -> Option<Self> {
        let mut parts = folder.split('/');
        let (tenant, artifacts, job, epoch) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if artifacts != "artifacts" || parts.next().is_some() {
            return None;
        }
        Some(Self {
            tenant: tenant.parse().ok()?,
            job: job.parse().ok()?,
            epoch: epoch.parse().ok()?,
            name: name.parse().ok()?,
        })
    }

    /// The key of the bytes.
    pub(super) fn object_key(&self) -> Path {
        key([attempt_folder(&self.tenant, self.job, self.epoch).as_ref(), self.name.as_str()])
    }

    /// Whether two stand for one artifact: an attempt that goes on with another's upload has its own manifest.
    pub(super) fn same_artifact(&self, other: &Self) -> bool {
        (&self.tenant, self.job, &self.name) == (&other.tenant, other.job, &other.name)
    }

    /// By which name the sealing format knows the bytes.
    pub(super) fn sealed_object(&self) -> String {
        sealed_object(self.job, self.epoch, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_artifacts_say_anything() {
        let job = JobId::from_u128(7);
        let folder = format!("acme/artifacts/{job}/000012");
        let manifest = Address::of_manifest(&format!("{folder}/.manifests/a b.epub.json")).unwrap();
        assert_eq!((manifest.epoch, manifest.name.as_str()), (12, "a b.epub"));
        assert_eq!(manifest.sealed_object(), format!("{job}/12/a b.epub"));
        let object = Address::of_object(&format!("acme/artifacts/{job}/000003/a b.epub")).unwrap();
        assert!(manifest.same_artifact(&object));
        assert_eq!(object.object_key().as_ref(), format!("acme/artifacts/{job}/000003/a b.epub"));
        let other = Address::of_object(&format!("other/artifacts/{job}/000012/a b.epub")).unwrap();
        assert!(!manifest.same_artifact(&other));
        for wrong in
            ["", "x", "acme/projects/p/book.json", &format!("{folder}/x/.manifests/a.json"), "../a/b/c/d"]
        {
            assert_eq!(Address::of_manifest(wrong), None, "{wrong}");
        }
        assert_eq!(Address::of_object(&format!("acme/x/../artifacts/{job}/1/a")), None);
    }
}
