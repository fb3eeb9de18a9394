//! Passwords: how one is kept and checked, and which are good enough. Owns: [`Passwords`], [`Password`], the [policy](check),
//! the bound on how many are hashed at one time. Must not know: users, stores.
//!
//! A hash costs tens of milliseconds of a core and 19 MiB: it is made on threads that may block, as many at one time as there
//! are cores, and no more wait for one than a second or two's worth.

mod common;
mod hash;
mod policy;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::sync::Semaphore;

pub use hash::ImportError;
pub use policy::{Weakness, check};

use self::hash::Checked;
use crate::domain::Random;

/// The most bytes of a password; what is longer is nobody's.
pub const MOST_BYTES: usize = 1_024;
/// How many may wait for each core.
const WAITING_A_CORE: usize = 32;
/// When who was turned away may come again.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// A password as somebody typed it. It can't be printed, and is wiped.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// The text.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// A password can't be hashed or checked, one variant per next action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Try again later: too many are being checked.
    #[error("too many passwords are being checked now; try again in {} s", retry_after.as_secs())]
    Busy {
        /// When.
        retry_after: Duration,
    },
    /// Restore the user from a backup, or give him a new password.
    #[error("the stored hash of a password makes no sense: give the user a new one")]
    Damaged,
    /// Report it: our bug.
    #[error("a password can't be hashed: {0}")]
    Broken(String),
}

/// What came of a check.
#[derive(Clone, PartialEq, Eq)]
pub enum Match {
    /// It is another password.
    No,
    /// It is the one.
    Yes {
        /// A hash to be kept instead, where the old one is of another make.
        better: Option<String>,
    },
}

/// Hashes and checks passwords, a few at a time. Cheap to clone; clones share the bound.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    cores: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    random: Arc<dyn Random>,
}

impl Passwords {
    /// As many at a time as there are cores.
    pub fn new(random: Arc<dyn Random>) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self::bounded(cores, cores * WAITING_A_CORE, random)
    }

    /// So many at a time, while so many wait at most.
    pub fn bounded(at_a_time: usize, most_waiting: usize, random: Arc<dyn Random>) -> Self {
        let (cores, waiting) = (Arc::new(Semaphore::new(at_a_time)), AtomicUsize::new(0));
        Self(Arc::new(Inner { cores, waiting, most_waiting, random }))
    }

    /// The hash to keep of a password, a PHC string of Argon2id. Whether the password is good enough is for [`check`].
    ///
    /// # Errors
    /// [`PasswordError::Busy`].
    pub async fn hash(&self, password: &Password) -> Result<String, PasswordError> {
        let (password, salt) = (password.clone(), self.salt());
        self.run(move || hash::hash(&password, &salt)).await
    }

    /// Whether this is the password of a hash. Without a hash the answer is no, after as much work: nobody learns from the
    /// time it takes that there is no such account.
    ///
    /// # Errors
    /// [`PasswordError::Busy`]; [`PasswordError::Damaged`].
    pub async fn verify(&self, password: &Password, stored: Option<&str>) -> Result<Match, PasswordError> {
        let (password, stored) = (password.clone(), stored.map(ToOwned::to_owned));
        let salt = self.salt();
        self.run(move || {
            Ok(match hash::verify(&password, stored.as_deref())? {
                Checked::Wrong => Match::No,
                Checked::Right => Match::Yes { better: None },
                Checked::Outdated => Match::Yes { better: Some(hash::hash(&password, &salt)?) },
            })
        })
        .await
    }

    /// Takes a hash that another program made: bcrypt, or Argon2id as a PHC string.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn import(text: &str) -> Result<String, ImportError> {
        hash::import(text)
    }

    fn salt(&self) -> [u8; 16] {
        let mut salt = [0; 16];
        self.0.random.fill(&mut salt);
        salt
    }

    async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<R, PasswordError> + Send + 'static,
    ) -> Result<R, PasswordError> {
        let place = Place::take(&self.0).ok_or(PasswordError::Busy { retry_after: COME_AGAIN })?;
        let core = self.0.cores.clone().acquire_owned().await;
        let core = core.map_err(|error| PasswordError::Broken(error.to_string()))?;
        // Both are held until the work has ended, also where nobody waits for it any more.
        let done = tokio::task::spawn_blocking(move || {
            let (_place, _core) = (place, core);
            work()
        });
        done.await.map_err(|error| PasswordError::Broken(error.to_string()))?
    }
}

/// A place among those that wait or work.
struct Place(Arc<Inner>);

impl Place {
    fn take(inner: &Arc<Inner>) -> Option<Self> {
        let room = |count: usize| (count < inner.most_waiting).then_some(count + 1);
        inner.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).ok()?;
        Some(Self(inner.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededRandom;

    fn password(text: &str) -> Password {
        text.to_owned().into()
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_no_other_is() {
        let passwords = Passwords::new(Arc::new(SeededRandom::new(1)));
        let hash = passwords.hash(&password("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let yes = passwords.verify(&password("correct horse battery"), Some(&hash)).await.unwrap();
        assert!(yes == Match::Yes { better: None });
        for (wrong, stored) in
            [("correct horse batterY", Some(hash.as_str())), ("correct horse battery", None)]
        {
            assert!(passwords.verify(&password(wrong), stored).await.unwrap() == Match::No);
        }
        let damaged = passwords.verify(&password("x"), Some("$argon2id$nonsense")).await;
        assert!(matches!(damaged, Err(PasswordError::Damaged)));
        assert_ne!(hash, passwords.hash(&password("correct horse battery")).await.unwrap());
        assert_eq!(format!("{:?}", password("hunter2")), "Password(…)");
    }

    #[tokio::test]
    async fn who_comes_when_too_many_wait_is_turned_away_and_told_when_to_come_again() {
        let passwords = Passwords::bounded(1, 2, Arc::new(SeededRandom::new(1)));
        let word = password("correct horse battery");
        let all = futures_util::future::join_all((0..5).map(|_| passwords.hash(&word))).await;
        let busy = all.iter().filter(|done| matches!(done, Err(PasswordError::Busy { .. }))).count();
        assert_eq!((busy, all.iter().filter(|done| done.is_ok()).count()), (3, 2));
        assert!(passwords.hash(&word).await.is_ok());
    }
}
