//! Hashes: Argon2id as PHC strings, and bcrypt of those who come from elsewhere. Pure, and slow on purpose. Must not know:
//! threads.

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::PasswordHash,
};
use zeroize::Zeroizing;

use super::{MOST_BYTES, Password, PasswordError};

/// What OWASP asks for: 19 MiB, two passes, one lane.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// bcrypt reads no more of a password.
const BCRYPT_BYTES: usize = 72;
/// Costs of bcrypt that are taken: below it is no protection, above it one login would hold a core for seconds.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=14;
/// The most memory that a hash from elsewhere may ask for.
const MOST_MEMORY: u32 = 64 << 10;
const MOST_PASSES: u32 = 10;

/// What a stored hash said.
pub(super) enum Checked {
    Wrong,
    Right,
    /// Right, and to be hashed anew.
    Outdated,
}

/// The text is no hash that can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a hash that can be taken: bcrypt ($2a$, $2b$, $2x$, $2y$ with a cost of 4 to 14) or Argon2id as a PHC string with at most \
     64 MiB and 10 passes"
)]
pub struct ImportError;

fn argon() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY, PASSES, LANES, None);
    let params = params.map_err(|error| PasswordError::Broken(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

pub(super) fn hash(password: &Password, salt: &[u8; 16]) -> Result<String, PasswordError> {
    let hash = argon()?.hash_password_with_salt(password.reveal().as_bytes(), salt);
    hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Broken(error.to_string()))
}

pub(super) fn verify(password: &Password, stored: Option<&str>) -> Result<Checked, PasswordError> {
    let bytes = password.reveal().as_bytes();
    let Some(stored) = stored.filter(|_| bytes.len() <= MOST_BYTES) else {
        // As much work as a hash that is there, and never right.
        let mut out = Zeroizing::new([0; 32]);
        let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
        let done = argon()?.hash_password_into(bytes, b"nobody's account", out.as_mut_slice());
        done.map_err(|error| PasswordError::Broken(error.to_string()))?;
        std::hint::black_box(&out);
        return Ok(Checked::Wrong);
    };
    if is_bcrypt(stored) {
        // As where it was made: what is behind the 72nd byte never counted there. From now on it does.
        let seen = &bytes[..bytes.len().min(BCRYPT_BYTES)];
        let right = bcrypt::verify(seen, stored).map_err(|_| PasswordError::Damaged)?;
        return Ok(if right { Checked::Outdated } else { Checked::Wrong });
    }
    let hash = PasswordHash::new(stored).map_err(|_| PasswordError::Damaged)?;
    let params = Params::try_from(&hash).map_err(|_| PasswordError::Damaged)?;
    if argon()?.verify_password(bytes, &hash).is_err() {
        return Ok(Checked::Wrong);
    }
    let ours = (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY, PASSES, LANES);
    Ok(if ours { Checked::Right } else { Checked::Outdated })
}

fn is_bcrypt(text: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix))
}

pub(super) fn import(text: &str) -> Result<String, ImportError> {
    if is_bcrypt(text) {
        let parts: bcrypt::HashParts = text.parse().map_err(|_| ImportError)?;
        return if BCRYPT_COSTS.contains(&parts.get_cost()) { Ok(text.to_owned()) } else { Err(ImportError) };
    }
    let hash = PasswordHash::new(text).map_err(|_| ImportError)?;
    let params = Params::try_from(&hash).map_err(|_| ImportError)?;
    let bearable = params.m_cost() <= MOST_MEMORY && params.t_cost() <= MOST_PASSES && params.p_cost() <= 4;
    if hash.algorithm.as_str() == "argon2id" && bearable && hash.hash.is_some() {
        Ok(text.to_owned())
    } else {
        Err(ImportError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the crate's own test vectors, which are OpenBSD's.
    const BCRYPT: &str = "$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie";

    fn checked(password: &str, stored: &str) -> Result<&'static str, PasswordError> {
        Ok(match verify(&Password::from(password.to_owned()), Some(stored))? {
            Checked::Wrong => "wrong",
            Checked::Right => "right",
            Checked::Outdated => "outdated",
        })
    }

    #[test]
    fn a_bcrypt_hash_is_known_and_is_to_be_replaced() {
        assert!(import(BCRYPT).is_ok());
        assert_eq!(checked("correctbatteryhorsestapler", BCRYPT), Ok("outdated"));
        assert_eq!(checked("correctbatteryhorsestaple", BCRYPT), Ok("wrong"));
        let long = "x".repeat(72);
        let hash = bcrypt::hash_with_salt(&long, 4, [7; 16]).unwrap().to_string();
        assert_eq!(checked(&long, &hash), Ok("outdated"));
        assert_eq!(checked(&format!("{long}y"), &hash), Ok("outdated"));
        assert_eq!(checked(&long[..71], &hash), Ok("wrong"));
    }

    #[test]
    fn a_weaker_argon_is_known_and_is_to_be_replaced() {
        let params = Params::new(8_192, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let weak = weak.hash_password_with_salt(b"correct horse", &[1; 16]).unwrap().to_string();
        assert!(import(&weak).is_ok());
        assert_eq!(checked("correct horse", &weak), Ok("outdated"));
        assert_eq!(checked("another horse", &weak), Ok("wrong"));
    }

    #[test]
    fn what_would_take_too_long_or_is_no_hash_is_not_imported() {
        let costly = BCRYPT.replace("$04$", "$17$");
        let argon = "$argon2id$v=19$m=1048576,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let weak = argon.replace("m=1048576", "m=19456").replace("argon2id", "argon2d");
        for text in [
            "",
            "hunter2",
            "$2b$04$short",
            "$1$md5$x",
            &costly,
            argon,
            &weak,
            "$argon2id$v=19$m=19456,t=2,p=1",
        ] {
            assert_eq!(import(text), Err(ImportError), "{text}");
        }
    }

    #[test]
    fn a_password_beyond_all_bounds_is_nobodys() {
        let hash = hash(&Password::from("x".repeat(1_025)), &[1; 16]).unwrap();
        assert_eq!(checked(&"x".repeat(1_025), &hash), Ok("wrong"));
    }
}
