//! Texts that stand for something and say nothing: a prefix and 256 random bits. Only their hash is kept; so many random bits
//! need no slow one. Pure.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::text::hex;
use crate::domain::Random;

const BYTES: usize = 32;
/// 256 bits in base 64.
const DIGITS: usize = 43;

/// A new one.
pub(crate) fn make(prefix: &str, random: &dyn Random) -> SecretString {
    let mut bytes = Zeroizing::new([0; BYTES]);
    random.fill(bytes.as_mut_slice());
    let digits = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    format!("{prefix}{}", digits.as_str()).into()
}

/// Whether a text can be one of these: what can't is not looked for.
pub(crate) fn is_one(prefix: &str, text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.strip_prefix(prefix).is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(digit))
}

/// What is kept of one.
pub(crate) fn hash(text: &str) -> String {
    hex(&Sha256::digest(text))
}
