//! What is known of a user, and how one is called. Pure.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    domain::{TenantId, Timestamp, UserId},
    security::access::{Grants, Principal, Role, Subject},
    store::StoreError,
};

/// A user; nothing of this is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `user_` and 26 letters and digits; never another's.
    pub id: String,
    /// Whose user he is.
    pub tenant: TenantId,
    /// What he logs in with.
    pub name: UserName,
    /// What he may do.
    pub role: Role,
    /// Whether he may not log in.
    pub disabled: bool,
    /// Rises whenever what was given out before shall hold no more.
    pub generation: u64,
    /// Rises whenever accounts at providers that were tied to him before shall log in as him no more.
    #[serde(default)]
    pub accounts: u64,
    /// Whether a second factor is asked for.
    pub second_factor: bool,
    /// Whether he has a password; else a one-time link is waited for.
    pub has_password: bool,
    /// Who made him.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When he was changed last.
    pub changed_at: Timestamp,
}

impl User {
    /// What he may do.
    pub fn grants(&self) -> Grants {
        self.role.grants()
    }

    /// He as a caller, once he has proved who he is by `subject`.
    pub fn principal(&self, subject: Subject, until: Option<Timestamp>) -> Principal {
        Principal { tenant: self.tenant.clone(), subject, grants: self.grants(), until }
    }
}

/// What a new user is to be.
#[derive(Clone)]
pub struct NewUser {
    /// Whose user.
    pub tenant: TenantId,
    /// What he logs in with.
    pub name: UserName,
    /// What he may do.
    pub role: Role,
    /// The hash of his password, of [`Passwords::hash`](crate::security::passwords::Passwords::hash) or imported.
    pub password: Option<String>,
    /// Who makes him.
    pub created_by: String,
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser")
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A piece of a listing of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPage {
    /// The users.
    pub items: Vec<User>,
    /// Go on behind this id; `None` at the end.
    pub next: Option<String>,
}

/// What a user logs in with, such as `jo` or `jo@books.example`: 1 to 100 of `a-z 0-9 . _ - + @`, beginning with a letter or
/// digit. Capitals are taken for small letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserName(String);

/// The text can't be a user's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user's name has 1 to 100 of a-z, 0-9 and . _ - + @, and begins with a letter or a digit")]
pub struct UserNameError;

impl UserName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        let name = text.to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (1..=100).contains(&name.len())
            && name.bytes().next().is_some_and(plain)
            && name.bytes().all(|byte| plain(byte) || b"._-+@".contains(&byte));
        if fits { Ok(Self(name)) } else { Err(UserNameError) }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What can go wrong with users, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Choose another name.
    #[error("there is a user {name} already: choose another name")]
    NameTaken {
        /// The name.
        name: UserName,
    },
    /// Make somebody else an admin first.
    #[error("this is the last admin of the tenant: make somebody else one first")]
    LastAdmin,
    /// As the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a text can be a user's id.
pub(super) fn is_id(id: &str) -> bool {
    id.parse::<UserId>().is_ok()
}

/// When the user of this id was made.
pub(super) fn made_at(id: &str) -> Option<Timestamp> {
    let bits = id.parse::<UserId>().ok()?.as_u128();
    Some(Timestamp::from_millis(i64::try_from(bits >> 80).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_small_letters_and_nothing_that_leaves_its_key() {
        for (text, name) in [("jo", "jo"), ("Jo.Doe+x@Books.example", "jo.doe+x@books.example"), ("0", "0")] {
            assert_eq!(text.parse::<UserName>().unwrap().as_str(), name);
        }
        let long = "x".repeat(101);
        for text in ["", "a/b", "../x", "jo\n", "jö", ".jo", "@", "a b", "a\0", "a'--", &long] {
            assert_eq!(text.parse::<UserName>(), Err(UserNameError), "{text:?}");
        }
    }

    #[test]
    fn an_id_tells_when_it_was_made_and_nothing_else_is_one() {
        let made = Timestamp::from_millis(1_795_312_058_123);
        let id = UserId::of(made, [7; 10]).to_string();
        assert_eq!((id.len(), made_at(&id)), (31, Some(made)), "{id}");
        for text in ["", "user_", "user_x", "batch_00000000000000000000000000", &format!("{id}/x"), "../x"] {
            assert!(!is_id(text), "{text}");
        }
    }
}
