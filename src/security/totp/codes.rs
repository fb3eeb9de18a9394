//! Recovery codes: 80 random bits in Crockford's base 32, `k3v9-q2zx-77wd-0m4c`. Only their hashes are kept; so many random bits
//! need no slow one. Pure.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{domain::Random, security::text::hex};

/// How many are given out.
const COUNT: usize = 10;
const DIGITS: usize = 16;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

pub(super) fn make(random: &dyn Random) -> Vec<Zeroizing<String>> {
    let one = || {
        let mut bytes = Zeroizing::new([0; DIGITS]);
        random.fill(bytes.as_mut_slice());
        let mut text = Zeroizing::new(String::with_capacity(DIGITS + 3));
        for (place, byte) in bytes.iter().enumerate() {
            if place > 0 && place % 4 == 0 {
                text.push('-');
            }
            // 256 is 8 times 32: each digit is as likely as the others.
            text.push(char::from(ALPHABET[usize::from(byte % 32)]));
        }
        text
    };
    (0..COUNT).map(|_| one()).collect()
}

/// The hash of what may be a recovery code, however it is written; `None` for what is none.
pub(super) fn hash(text: &str) -> Option<String> {
    let mut digits = Zeroizing::new(String::with_capacity(DIGITS));
    for c in text.chars().filter(|c| *c != '-' && *c != ' ').take(DIGITS + 1) {
        digits.push(match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        });
    }
    let fits = digits.len() == DIGITS && digits.bytes().all(|digit| ALPHABET.contains(&digit));
    fits.then(|| hex(&Sha256::digest(digits.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededRandom;

    #[test]
    fn a_code_is_known_however_it_is_written_and_a_code_of_the_time_is_none() {
        let codes = make(&SeededRandom::new(1));
        let hashes: std::collections::BTreeSet<_> = codes.iter().map(|code| hash(code).unwrap()).collect();
        assert_eq!((codes.len(), hashes.len(), codes[0].len()), (COUNT, COUNT, 19));
        let written = codes[0].to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l");
        assert_eq!(hash(&written), hash(&codes[0]));
        for text in ["", "123456", "k3v9-q2zx-77wd-0m4u", "k3v9-q2zx-77wd-0m4c0"] {
            assert_eq!(hash(text), None, "{text}");
        }
    }
}
