//! Files that nobody but this process can read: segments of an artifact's own seal, under a key that is made with the
//! scratch and dies with it. Must not know: what the bytes mean.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use presswork::{
    domain::{Random, SystemRandom, TenantId},
    security::seal::{DataKey, KeyId, Opener, Preamble, SEGMENT_BYTES, Salt, SealContext, Sealer, TAG_BYTES},
};

/// Where bytes can be put aside: a folder of the job's own, or the system's for temporary files. What lies there is sealed,
/// whoever's it is: the disk of a worker is no place for a tenant's text. Cheap to clone.
#[derive(Clone)]
pub struct Scratch(Arc<Within>);

struct Within {
    folder: Option<PathBuf>,
    key: DataKey,
    /// How many files there were: each has a number, which is its salt.
    files: AtomicU64,
}

impl Scratch {
    /// In a folder, which must be there for as long as anything is put aside in it.
    pub fn within(folder: impl Into<PathBuf>, random: &dyn Random) -> Self {
        Self::new(Some(folder.into()), random)
    }

    fn new(folder: Option<PathBuf>, random: &dyn Random) -> Self {
        Self(Arc::new(Within { folder, key: DataKey::random(random), files: AtomicU64::new(0) }))
    }

    /// A file without a name, gone with whoever holds it, however that ends.
    pub(super) fn file(&self) -> io::Result<Segments> {
        let file = match &self.0.folder {
            Some(folder) => tempfile::tempfile_in(folder)?,
            None => tempfile::tempfile()?,
        };
        let (_, sealer, preamble) = self.begin()?;
        let scratch = self.clone();
        Ok(Segments { scratch, file, sealer, preamble, segments: 0, opened: None, plain: Vec::new() })
    }

    /// The folder, if it is one of the job's own.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.0.folder.as_deref()
    }

    /// Begins to seal what has not been sealed before; the number is its own.
    pub(super) fn begin(&self) -> io::Result<(u64, Sealer, Preamble)> {
        let number = self.0.files.fetch_add(1, Ordering::Relaxed);
        let mut salt = [0; Salt::BYTES];
        salt[..8].copy_from_slice(&number.to_be_bytes());
        let (tenant, id) = (nobody()?, KeyId::from_bytes([0; 16]));
        let context = SealContext { tenant: &tenant, object: OBJECT };
        let (sealer, preamble) = Sealer::begin(&self.0.key, id, &context, Salt::from_bytes(salt));
        Ok((number, sealer, preamble))
    }

    /// Opens what was sealed, from a segment on.
    pub(super) fn open(&self, preamble: &Preamble, segment: u64) -> io::Result<Opener> {
        let tenant = nobody()?;
        let context = SealContext { tenant: &tenant, object: OBJECT };
        Opener::at(&self.0.key, &context, preamble, segment).map_err(io::Error::other)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new(None, &SystemRandom)
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scratch").field(&self.0.folder).finish()
    }
}

/// The object's name in the seal: the salt tells files apart.
const OBJECT: &str = "scratch";

/// The tenant in the seal: the key is the attempt's own.
fn nobody() -> io::Result<TenantId> {
    OBJECT.parse().map_err(io::Error::other)
}

/// Bytes of a segment as it lies there.
pub(super) const SEALED_BYTES: usize = SEGMENT_BYTES + TAG_BYTES;

/// Whole segments, in the order in which they came.
pub(crate) struct Segments {
    scratch: Scratch,
    file: File,
    sealer: Sealer,
    preamble: Preamble,
    segments: u64,
    /// The segment that was read last, and its bytes.
    opened: Option<u64>,
    plain: Vec<u8>,
}

impl fmt::Debug for Segments {
    /// Without the plain bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segments").field("segments", &self.segments).finish_non_exhaustive()
    }
}

impl Segments {
    /// How many plain bytes there are.
    pub(super) fn bytes(&self) -> u64 {
        self.segments * SEGMENT_BYTES as u64
    }

    /// Takes as many whole segments of `plain` as there are, from its beginning on; answers how many bytes they were.
    pub(super) fn push(&mut self, plain: &[u8]) -> io::Result<usize> {
        let segments = plain.len() / SEGMENT_BYTES;
        let (whole, mut sealed) = (segments * SEGMENT_BYTES, Vec::with_capacity(segments * SEALED_BYTES));
        self.sealer.write(&plain[..whole], &mut sealed).map_err(io::Error::other)?;
        self.file.seek(SeekFrom::Start(self.segments * SEALED_BYTES as u64))?;
        self.file.write_all(&sealed)?;
        self.segments += segments as u64;
        Ok(whole)
    }

    /// The bytes of a segment that was pushed.
    pub(super) fn segment(&mut self, segment: u64) -> io::Result<&[u8]> {
        if self.opened != Some(segment) {
            self.opened = None;
            self.plain.clear();
            let mut sealed = vec![0; SEALED_BYTES];
            self.file.seek(SeekFrom::Start(segment * SEALED_BYTES as u64))?;
            self.file.read_exact(&mut sealed)?;
            let mut opener = self.scratch.open(&self.preamble, segment)?;
            opener.write(&sealed, &mut self.plain).map_err(io::Error::other)?;
            self.opened = Some(segment);
        }
        Ok(&self.plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_on_the_disk_can_not_be_read_and_a_change_is_noticed() {
        let scratch = Scratch::default();
        let (mut one, mut two) = (scratch.file().unwrap(), scratch.file().unwrap());
        let text = b"all the tenant's words, ".repeat(3_000);
        assert_eq!((one.push(&text).unwrap(), two.push(&text).unwrap()), (65_536, 65_536));
        let on_disk = |file: &mut Segments| {
            let mut bytes = Vec::new();
            file.file.seek(SeekFrom::Start(0)).unwrap();
            file.file.read_to_end(&mut bytes).unwrap();
            bytes
        };
        let (first, second) = (on_disk(&mut one), on_disk(&mut two));
        assert_eq!(first.len(), 4 * SEALED_BYTES);
        assert!(first.windows(6).all(|bytes| bytes != b"tenant"));
        assert!(first != second, "the same text twice looks like another one");
        for segment in [3, 0, 0, 2] {
            let place = segment as usize * SEGMENT_BYTES;
            assert!(one.segment(segment).unwrap() == &text[place..place + SEGMENT_BYTES]);
        }
        one.file.seek(SeekFrom::Start(SEALED_BYTES as u64)).unwrap();
        one.file.write_all(&[!first[SEALED_BYTES]]).unwrap();
        assert!(one.segment(1).is_err() && one.segment(2).is_ok());
        assert!(!format!("{scratch:?}{one:?}").contains("words"));
    }
}
