//! Which passwords are good enough: long, and not the first that anybody would try. No rule about kinds of characters: those
//! make people write `Password1!` (NIST SP 800-63B, 3.1.1). Pure.

use super::{MOST_BYTES, Password, common::COMMON};
use crate::security::users::UserName;

/// The fewest bytes.
const LEAST_BYTES: usize = 12;

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Choose a longer one.
    #[error("a password has at least 12 bytes: some words are easy to remember")]
    TooShort,
    /// Choose a shorter one.
    #[error("a password has at most 1,024 bytes")]
    TooLong,
    /// Leave them out.
    #[error("a password has no control characters")]
    Control,
    /// Choose one that does not follow from it.
    #[error("the password is made of the account's name: choose another")]
    Name,
    /// Choose another.
    #[error("this is one of the passwords that are tried first: choose another")]
    Common,
}

/// Whether a password will do for an account.
///
/// # Errors
/// [`Weakness`].
pub fn check(password: &Password, name: &UserName) -> Result<(), Weakness> {
    let text = password.reveal();
    match text.len() {
        0..LEAST_BYTES => return Err(Weakness::TooShort),
        LEAST_BYTES..=MOST_BYTES => {}
        _ => return Err(Weakness::TooLong),
    }
    if text.chars().any(char::is_control) {
        return Err(Weakness::Control);
    }
    let small = text.to_lowercase();
    let (name, before_at) = (name.as_str(), name.as_str().split('@').next().unwrap_or_default());
    if is_repeated(&small, name) || is_repeated(&small, before_at) || stem(&small) == stem(name) {
        return Err(Weakness::Name);
    }
    let bare = stem(&small);
    let first = small.chars().next().map(String::from).unwrap_or_default();
    let common = |word: &str| COMMON.contains(&word) || COMMON.iter().any(|known| is_repeated(word, known));
    if is_repeated(&small, &first) || common(&small) || common(bare) {
        return Err(Weakness::Common);
    }
    Ok(())
}

/// Without what people put behind a word to make it pass: digits and marks.
fn stem(text: &str) -> &str {
    text.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation())
}

/// Whether a text is nothing but a word again and again.
fn is_repeated(text: &str, word: &str) -> bool {
    !word.is_empty() && text.len() >= word.len() && text.replace(word, "").is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_unlikely_will_do_and_the_rest_is_told_why_not() {
        let name: UserName = "josephine.b@books.example".parse().unwrap();
        let checked = |text: &str| check(&Password::from(text.to_owned()), &name);
        for good in
            ["correct horse battery", "überraschung am see", "josephine.b likes tea", "k3V9-q2Lx-77Wd"]
        {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
        for (bad, weakness) in [
            ("", Weakness::TooShort),
            ("elevenbytes", Weakness::TooShort),
            (&*"x".repeat(1_025), Weakness::TooLong),
            ("correct\nhorse battery", Weakness::Control),
            ("Josephine.B@books.example", Weakness::Name),
            ("josephine.bjosephine.b", Weakness::Name),
            ("josephine.b@books.example2026!", Weakness::Name),
            ("aaaaaaaaaaaaaa", Weakness::Common),
            ("Password123456", Weakness::Common),
            ("passwordpassword", Weakness::Common),
            ("qwertyuiop[]", Weakness::Common),
            ("123456789012", Weakness::Common),
        ] {
            assert_eq!(checked(bad), Err(weakness), "{bad}");
        }
    }
}
