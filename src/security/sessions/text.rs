//! What a browser's cookie carries: 256 random bits, and the token against forged requests that is made from them.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{domain::Random, security::text::hex};

/// 256 bits in base 64 without padding.
const LENGTH: usize = 43;

/// A session's secret; it can't be printed.
#[derive(Clone)]
pub struct SessionText(SecretString);

/// The text is no session's secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a session's secret")]
pub struct SessionTextError;

impl SessionText {
    /// A new one.
    pub fn new(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        random.fill(&mut *bytes);
        Self(BASE64_URL_SAFE_NO_PAD.encode(*bytes).into())
    }

    /// The text itself, for the cookie.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// By what it is kept: 256 random bits need no slow hash.
    pub(super) fn hash(&self) -> String {
        hex(&Sha256::digest(self.reveal()))
    }

    /// What a page that belongs to the session sends beside the cookie with whatever changes something. It tells nothing of
    /// the secret, and ends with it.
    pub fn csrf_token(&self) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.reveal().as_bytes()) else {
            return String::new();
        };
        mac.update(b"presswork csrf token");
        BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// Whether a token is this session's.
    pub fn takes_csrf_token(&self, token: &str) -> bool {
        let own = self.csrf_token();
        !own.is_empty() && own.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

impl fmt::Debug for SessionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionText(…)")
    }
}

impl FromStr for SessionText {
    type Err = SessionTextError;

    fn from_str(text: &str) -> Result<Self, SessionTextError> {
        let fits = text.len() == LENGTH
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if fits { Ok(Self(text.to_owned().into())) } else { Err(SessionTextError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededRandom;

    #[test]
    fn a_secret_is_read_again_not_shown_and_its_token_is_its_own() {
        let random = SeededRandom::new(1);
        let (one, other) = (SessionText::new(&random), SessionText::new(&random));
        assert_eq!(one.reveal().parse::<SessionText>().unwrap().hash(), one.hash());
        assert_ne!(one.hash(), other.hash());
        assert_eq!(format!("{one:?}"), "SessionText(…)");
        assert!(one.takes_csrf_token(&one.csrf_token()) && !one.takes_csrf_token(&other.csrf_token()));
        assert!(!one.takes_csrf_token("") && !one.takes_csrf_token(one.reveal()));
        for wrong in ["", "x", &one.reveal()[1..], &format!("{}=", &one.reveal()[1..]), &"ä".repeat(43)] {
            assert!(wrong.parse::<SessionText>().is_err(), "{wrong}");
        }
    }
}
