//! The text of a key: `pw_live_`, 256 random bits in base 62, `_`, and a checksum, by which a scanner tells a leaked key from
//! what only looks like one.

use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::Random;

const PREFIX: &str = "pw_live_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 > 2^256.
const DIGITS: usize = 43;
/// 62^6 > 2^32.
const CHECK_DIGITS: usize = 6;

/// A key's text; it can't be printed.
#[derive(Clone)]
pub struct ApiKeyText(SecretString);

/// The text is no key: mistyped, cut, or something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API key: `pw_live_`, 43 letters and digits, `_`, and 6 more that fit them")]
pub struct ApiKeyTextError;

impl ApiKeyText {
    /// A new one.
    pub fn new(random: &dyn Random) -> Self {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        let body = digits(&mut bytes, DIGITS);
        let check = check(&body);
        Self(format!("{PREFIX}{body}_{check}").into())
    }

    /// The text itself, to be shown once.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyText(…)")
    }
}

impl FromStr for ApiKeyText {
    type Err = ApiKeyTextError;

    fn from_str(text: &str) -> Result<Self, ApiKeyTextError> {
        let (body, given) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(ApiKeyTextError)?;
        let is_digits = body.len() == DIGITS && body.bytes().all(|byte| ALPHABET.contains(&byte));
        if is_digits && check(body) == given {
            Ok(Self(text.to_owned().into()))
        } else {
            Err(ApiKeyTextError)
        }
    }
}

/// The keys that stand anywhere in a text, and where: what a scanner of leaks looks for. Prefix, alphabet, length and checksum
/// have to fit, so that what only looks like a key is none.
pub fn find_keys(text: &str) -> impl Iterator<Item = (usize, ApiKeyText)> {
    const LENGTH: usize = PREFIX.len() + DIGITS + 1 + CHECK_DIGITS;
    text.match_indices(PREFIX).filter_map(|(place, _)| {
        let key = text.get(place..place + LENGTH)?.parse().ok()?;
        Some((place, key))
    })
}

/// CRC-32 of the digits, in base 62.
fn check(body: &str) -> String {
    digits(&mut crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECK_DIGITS)
}

/// A big-endian number in base 62, so many digits.
fn digits(number: &mut [u8], count: usize) -> String {
    let mut text = vec![b'0'; count];
    for slot in text.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in number.iter_mut() {
            let value = rest << 8 | u32::from(*byte);
            // Below 62 · 256 before the division, so below 256 after it.
            (*byte, rest) = (u8::try_from(value / 62).unwrap_or(u8::MAX), value % 62);
        }
        *slot = ALPHABET[rest as usize];
    }
    text.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SeededRandom;

    #[test]
    fn a_key_is_read_again_and_a_change_anywhere_is_noticed() {
        let key = ApiKeyText::new(&SeededRandom::new(1));
        let text = key.reveal();
        assert_eq!((text.len(), text.parse::<ApiKeyText>().unwrap().reveal()), (58, text));
        for place in 0..text.len() {
            let mut other = text.as_bytes().to_vec();
            other[place] = if other[place] == b'x' { b'y' } else { b'x' };
            assert!(String::from_utf8(other).unwrap().parse::<ApiKeyText>().is_err(), "{place}");
        }
        for wrong in ["", "pw_live_", &text[..57], &format!("{text}0"), &format!(" {text}")] {
            assert!(wrong.parse::<ApiKeyText>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_are_found_in_any_text_and_nothing_else_is() {
        let keys: Vec<_> = (1..4).map(|seed| ApiKeyText::new(&SeededRandom::new(seed))).collect();
        let [one, two, three] = [keys[0].reveal(), keys[1].reveal(), keys[2].reveal()];
        let cut = &three[..57];
        let text =
            format!("é export KEY={one}\n{{\"a\":\"{two}\"}}pw_live_ pw_live_pw_live_ {cut} pw_live_é{cut}");
        let found: Vec<_> = find_keys(&text).map(|(place, key)| (place, key.reveal().to_owned())).collect();
        assert_eq!(
            found,
            [(text.find(one).unwrap(), one.to_owned()), (text.find(two).unwrap(), two.to_owned())]
        );
        assert_eq!(find_keys(&format!("{one}{two}")).count(), 2);
        // 10,000 texts of the same form with a checksum of chance: one in 2^32 would be taken for a key.
        let random = SeededRandom::new(9);
        let forged = (0..10_000).map(|_| {
            let key = ApiKeyText::new(&random);
            let other = ApiKeyText::new(&random);
            format!("{}{}", &key.reveal()[..52], &other.reveal()[52..])
        });
        assert_eq!(forged.filter(|text| find_keys(text).count() > 0).count(), 0);
    }

    #[test]
    fn digits_are_those_of_the_number() {
        assert_eq!(digits(&mut 61_u32.to_be_bytes(), 6), "00000z");
        assert_eq!(digits(&mut 62_u32.to_be_bytes(), 6), "000010");
        // 62^6 = 56,800,235,584
        assert_eq!(digits(&mut u32::MAX.to_be_bytes(), 6), "4gfFC3");
        assert_eq!(format!("{:?}", ApiKeyText::new(&SeededRandom::new(1))), "ApiKeyText(…)");
    }
}
