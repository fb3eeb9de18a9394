//! What ties a login to its browser, and the texts that are made for it. Pure.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{domain::Random, security::text::hex};

/// What a browser keeps while it is at the provider; it can't be printed.
#[derive(Clone)]
pub struct Binding(SecretString);

impl Binding {
    pub(super) fn new(random: &dyn Random) -> Self {
        Self(random_text(random).into())
    }

    /// What a browser brought back.
    pub fn of(text: &str) -> Self {
        Self(text.to_owned().into())
    }

    /// The text, for a cookie.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    fn derive(&self, what: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.reveal().as_bytes()) else {
            return String::new();
        };
        mac.update(what.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    pub(super) fn nonce(&self) -> String {
        self.derive("presswork oidc nonce")
    }

    pub(super) fn verifier(&self) -> Zeroizing<String> {
        Zeroizing::new(self.derive("presswork oidc verifier"))
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Binding(…)")
    }
}

/// 256 random bits as text.
pub(super) fn random_text(random: &dyn Random) -> String {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    random.fill(&mut *bytes);
    BASE64_URL_SAFE_NO_PAD.encode(*bytes)
}

/// Of several texts, so that no two lists of them have the same.
pub(super) fn hash(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text);
    }
    hex(&hash.finalize())
}

/// PKCE's challenge (RFC 7636, S256).
pub(super) fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// A path of this server; its root where it is none: nobody is sent elsewhere.
pub fn own_path(path: &str) -> &str {
    let is_own = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 500
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"'<>`".contains(&byte));
    if is_own { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn nobody_is_sent_to_another_server() {
        for path in ["/", "/jobs?x=1#y", "/a//b"] {
            assert_eq!(own_path(path), path);
        }
        let long = format!("/{}", "x".repeat(500));
        for path in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "jobs",
            "/\"><script>",
            "/a b",
            "/\n",
            &long,
        ] {
            assert_eq!(own_path(path), "/", "{path}");
        }
    }

    #[test]
    fn lists_of_texts_are_told_apart_and_a_binding_is_not_shown() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        let binding = Binding::of("secret");
        assert_eq!(format!("{binding:?}"), "Binding(…)");
        assert_ne!(binding.nonce(), *binding.verifier());
    }
}
