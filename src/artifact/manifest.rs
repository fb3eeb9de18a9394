//! The manifest: what an artifact is, written beside it when its last byte is stored.

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{begin::Maker, store::ArtifactOptions};
use crate::{
    domain::{Encoding, FileName, JobId, SealedAs, TenantId},
    security::seal::sealed_bytes,
};

/// What an artifact is. JSON at `<tenant>/artifacts/<job>/<epoch>/.manifests/<name>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `presswork-artifact`.
    pub format: String,
    /// The manifest's own version: 1.
    pub version: u32,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which job made it.
    pub job: JobId,
    /// Under which lease.
    pub epoch: u64,
    /// Its name within the job.
    pub name: FileName,
    /// The storage key of the bytes.
    pub object: String,
    /// The media type of the decoded bytes.
    pub content_type: String,
    /// How the stored bytes are compressed.
    pub encoding: Encoding,
    /// Bytes when decoded.
    pub plain_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// SHA-256 of the decoded bytes, 64 hexadecimal digits.
    pub plain_sha256: String,
    /// SHA-256 of the stored bytes, 64 hexadecimal digits.
    pub stored_sha256: String,
    /// Plain bytes of each frame but the last.
    pub frame_bytes: u64,
    /// Stored bytes of each frame, in order: frame n decodes on its own to plain bytes from n × `frame_bytes`.
    pub frames: Vec<u64>,
    /// How many parts were uploaded; 0 where one put was enough.
    pub parts: u32,
    /// How it is sealed; not at all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<SealedAs>,
}

impl Manifest {
    pub(super) const FORMAT: &'static str = "presswork-artifact";
    pub(super) const VERSION: u32 = 1;
    /// A manifest of more than this is not ours: 1 TiB of artifact needs about 8 MiB.
    pub(super) const MOST_BYTES: u64 = 16 << 20;

    /// That of an artifact whose bytes are still to come.
    pub(super) fn begun(
        maker: &Maker,
        name: &FileName,
        object: &Path,
        options: &ArtifactOptions,
        frame_bytes: usize,
    ) -> Self {
        Self {
            format: Self::FORMAT.to_owned(),
            version: Self::VERSION,
            tenant: maker.tenant.clone(),
            job: maker.job,
            epoch: maker.epoch,
            name: name.clone(),
            object: object.to_string(),
            content_type: options.content_type.clone(),
            encoding: options.encoding,
            plain_bytes: 0,
            stored_bytes: 0,
            plain_sha256: String::new(),
            stored_sha256: String::new(),
            frame_bytes: frame_bytes as u64,
            frames: Vec::new(),
            parts: 0,
            seal: None,
        }
    }

    /// What is inconsistent in it, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        if self.format != Self::FORMAT {
            return Some("not a manifest".to_owned());
        }
        if self.version != Self::VERSION {
            return Some(format!(
                "its manifest has version {}, this program reads {}",
                self.version,
                Self::VERSION
            ));
        }
        let stored = self.frames.iter().try_fold(0_u64, |sum, bytes| sum.checked_add(*bytes));
        let stored = if self.seal.is_some() { stored.map(sealed_bytes) } else { stored };
        (stored != Some(self.stored_bytes)).then(|| "its frames do not add up to its size".to_owned())
    }
}
