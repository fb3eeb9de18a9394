//! The manifest: what an artifact is, written beside it when its last byte is stored.

use serde::{Deserialize, Serialize};

use crate::domain::{Encoding, FileName, JobId, SealedAs, TenantId};

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
        (stored != Some(self.stored_bytes)).then(|| "its frames do not add up to its size".to_owned())
    }
}
