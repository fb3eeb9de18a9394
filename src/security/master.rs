//! Master keys: the few secrets that an operator keeps, under which all others are wrapped. Owns: how they are written, where
//! they are read from, and the one that the embedded engine makes for itself. Must not know: data keys' documents.

use std::{
    fmt, fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::GeneralPurpose};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::{
    seal::DataKey,
    text::{from_hex, hex},
};
use crate::domain::Random;

/// How many master keys may be at hand: the newest, and those that a rotation has not replaced everywhere yet.
const MOST_KEYS: usize = 16;
/// A file of so many keys with remarks is not larger.
const MOST_FILE_BYTES: u64 = 64 << 10;
const KEY_BYTES: usize = 32;

/// Which master key, without a hint at what it is: 16 hexadecimal digits of a hash of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterKeyId([u8; 8]);

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(&self.0))
    }
}

impl fmt::Debug for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for MasterKeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MasterKeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_hex(&text).map(Self).ok_or_else(|| de::Error::custom("not a master key's id"))
    }
}

/// There is no usable master key, one variant per next action. Never tells what was read.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Write it anew.
    #[error(
        "{place} holds no master key: write 32 random bytes as 64 hexadecimal digits or as base64, one key a line, the newest \
         first; `openssl rand -base64 32` makes one"
    )]
    NotAKey {
        /// Where it was read.
        place: String,
    },
    /// Keep it to its owner.
    #[error(
        "{} can be read by others than its owner (mode {mode:03o}): chmod 600 {}; where Kubernetes mounts it, defaultMode: 0400",
        path.display(), path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Mend the path or its permissions.
    #[error("the master key's file {} can't be used: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

struct MasterKey {
    id: MasterKeyId,
    key: DataKey,
}

/// The master keys at hand, the newest first. What is new is wrapped with the newest; the others still open what they have
/// wrapped. Never shown, wiped when dropped.
#[derive(Clone)]
pub struct MasterKeys(Arc<[MasterKey]>);

impl MasterKeys {
    /// Reads keys from text: separated by lines or commas; what follows a `#` is a remark. `place` is where it stands, for
    /// the error.
    ///
    /// # Errors
    /// [`MasterKeyError::NotAKey`].
    pub fn parse(text: &str, place: &str) -> Result<Self, MasterKeyError> {
        let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(keys, _)| keys));
        let words = lines.flat_map(|line| line.split([',', ' ', '\t'])).filter(|word| !word.is_empty());
        let keys: Option<Vec<MasterKey>> =
            words.map(|word| bytes_of(word).map(|key| of_bytes(&key))).collect();
        match keys {
            Some(keys) if (1..=MOST_KEYS).contains(&keys.len()) => Ok(Self(keys.into())),
            _ => Err(MasterKeyError::NotAKey { place: place.to_owned() }),
        }
    }

    /// Reads keys from a file that only its owner can read. Blocks.
    ///
    /// # Errors
    /// [`MasterKeyError`].
    pub fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let unreadable = |cause| MasterKeyError::Unreadable { path: path.to_owned(), cause };
        let file = fs::File::open(path).map_err(unreadable)?;
        check_permissions(path, &file.metadata().map_err(unreadable)?)?;
        let mut text = Zeroizing::new(String::new());
        file.take(MOST_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads the file, or makes it with a new key where there is none. Of several processes that make it at once one does,
    /// and all read the same. Blocks.
    ///
    /// # Errors
    /// [`MasterKeyError`].
    pub(super) fn read_or_make(path: &Path, random: &dyn Random) -> Result<Self, MasterKeyError> {
        match Self::read(path) {
            Err(MasterKeyError::Unreadable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
        let made = make(path, random)
            .map_err(|cause| MasterKeyError::Unreadable { path: path.to_owned(), cause })?;
        if made {
            tracing::warn!(
                path = %path.display(),
                "made a master key: keep a copy of this file in a safe place, without it nothing sealed can be read again"
            );
        }
        Self::read(path)
    }

    /// The ids, the newest first.
    pub fn ids(&self) -> Vec<MasterKeyId> {
        self.0.iter().map(|key| key.id).collect()
    }

    pub(super) fn newest(&self) -> (MasterKeyId, &DataKey) {
        // There is always one: `parse` saw to that.
        let MasterKey { id, key } = &self.0[0];
        (*id, key)
    }

    pub(super) fn find(&self, id: MasterKeyId) -> Option<&DataKey> {
        self.0.iter().find(|key| key.id == id).map(|key| &key.key)
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeys({:?})", self.ids())
    }
}

impl PartialEq for MasterKeys {
    fn eq(&self, other: &Self) -> bool {
        self.ids() == other.ids()
    }
}

impl Eq for MasterKeys {}

impl FromStr for MasterKeys {
    type Err = MasterKeyError;

    fn from_str(text: &str) -> Result<Self, MasterKeyError> {
        Self::parse(text, "it")
    }
}

/// Where a keyring's master keys come from.
#[derive(Clone, Debug)]
pub enum MasterSource {
    /// Nowhere: nothing can be sealed or opened.
    Absent,
    /// From the operator.
    Given(MasterKeys),
    /// From a file that is made when the first key is needed.
    Made(PathBuf),
}

fn of_bytes(bytes: &[u8; KEY_BYTES]) -> MasterKey {
    let key = DataKey::from_bytes(bytes);
    let mut padded = Zeroizing::new([0; 128]);
    padded[..KEY_BYTES].copy_from_slice(bytes);
    let mut hash = Hmac::<Sha512>::new((&*padded).into());
    hash.update(b"presswork master key id v1");
    let mut id = [0; 8];
    id.copy_from_slice(&hash.finalize().into_bytes()[..8]);
    MasterKey { id: MasterKeyId(id), key }
}

fn bytes_of(word: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    if let Some(bytes) = from_hex(word) {
        return Some(Zeroizing::new(bytes));
    }
    // Both alphabets, with or without the padding.
    let alphabet =
        if word.contains(['-', '_']) { &base64::alphabet::URL_SAFE } else { &base64::alphabet::STANDARD };
    let engine = GeneralPurpose::new(alphabet, base64::engine::general_purpose::NO_PAD);
    let decoded = Zeroizing::new(engine.decode(word.trim_end_matches('=')).ok()?);
    decoded.as_slice().try_into().map(Zeroizing::new).ok()
}

/// Whether it was made by this call; not where another process was faster.
fn make(path: &Path, random: &dyn Random) -> io::Result<bool> {
    let (mut key, mut suffix) = (Zeroizing::new([0; KEY_BYTES]), [0; 8]);
    random.fill(&mut *key);
    random.fill(&mut suffix);
    let text = Zeroizing::new(format!("{}\n", Zeroizing::new(hex(&*key)).as_str()));
    // Written whole under another name first: nobody ever reads half a key, and none is ever replaced.
    let draft = path.with_extension(format!("{}.tmp", hex(&suffix)));
    let written = write_private(&draft, text.as_bytes()).and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
        Ok(()) => {
            // The name must survive a power cut too: what is sealed with the key may be there at once.
            #[cfg(unix)]
            if let Some(folder) = path.parent() {
                fs::File::open(folder)?.sync_all()?;
            }
            Ok(true)
        }
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn check_permissions(path: &Path, metadata: &fs::Metadata) -> Result<(), MasterKeyError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(MasterKeyError::Open { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn check_permissions(_: &Path, _: &fs::Metadata) -> Result<(), MasterKeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SeededRandom, SystemRandom};

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8=";

    #[test]
    fn a_key_is_written_as_hexadecimal_digits_or_base64() {
        let key: MasterKeys = HEX.parse().unwrap();
        for same in [BASE64, BASE64.trim_end_matches('='), &BASE64.replace('/', "_"), &HEX.to_uppercase()] {
            assert_eq!(same.parse::<MasterKeys>().unwrap(), key, "{same}");
        }
        assert_eq!(key.newest().1.expose()[31], 0xff);
        let other = HEX.replace("ff", "fe");
        let both = MasterKeys::parse(&format!("# the newest\n{other} # of May\n\n{HEX}\n"), "x").unwrap();
        assert_eq!(both.ids().len(), 2);
        assert_ne!(both.ids()[0], key.ids()[0]);
        assert!(both.find(key.ids()[0]).is_some());
        assert_eq!(MasterKeys::parse(&format!("{other},{HEX}"), "x").unwrap(), both);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let long = format!("{HEX}00");
        let many = vec![HEX; MOST_KEYS + 1].join("\n");
        for text in ["", "# only a remark", "hunter2", &HEX[2..], &long, &many, &format!("{HEX}\nhunter2")] {
            let error = MasterKeys::parse(text, "PRESSWORK_MASTER_KEY").unwrap_err().to_string();
            assert!(error.starts_with("PRESSWORK_MASTER_KEY holds no master key"), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("0102"), "{error}");
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        let shown = format!("{:?}", HEX.parse::<MasterKeys>().unwrap());
        assert!(!shown.contains("010203") && shown.starts_with("MasterKeys(["), "{shown}");
        // The id tells keys apart and is the same in every process.
        assert_eq!(HEX.parse::<MasterKeys>().unwrap().ids()[0].to_string().len(), 16);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused_with_what_to_type() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, HEX).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = MasterKeys::read(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(MasterKeys::read(&path).unwrap(), HEX.parse().unwrap());
        assert!(matches!(
            MasterKeys::read(&folder.path().join("no")),
            Err(MasterKeyError::Unreadable { .. })
        ));
    }

    #[test]
    fn those_who_make_the_file_at_once_all_read_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || MasterKeys::read_or_make(&path, &SystemRandom).unwrap().ids())
            })
            .collect();
        let ids: Vec<_> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft stays behind");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // One that is there is never replaced, whatever is in it.
        fs::write(&path, "spoilt").unwrap();
        assert!(MasterKeys::read_or_make(&path, &SeededRandom::new(1)).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "spoilt");
    }
}
