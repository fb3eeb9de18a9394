//! What is stored of a user: [`User`], the hash of his password, his second factor, what of his logins has ended. Pure.

use serde::{Deserialize, Serialize};

use super::user::User;
use crate::domain::Timestamp;

/// A user's document. It can't be printed: the hash of a password is worth guessing at.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    #[serde(flatten)]
    pub(crate) user: User,
    /// A PHC string, or a bcrypt hash that was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// The second factor that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) factor: Option<Factor>,
    /// One that is being set up, and not asked for yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<Factor>,
    /// Logins that were ended while access tokens of theirs may live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ended: Vec<Ended>,
}

/// A second factor.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Factor {
    /// The secret, sealed with a key of the tenant's, in base 64.
    pub(crate) sealed: String,
    /// The latest step of time whose code was taken: it and all before it are used up.
    pub(crate) last_step: u64,
    /// Hashes of the recovery codes that are left.
    #[serde(default)]
    pub(crate) recovery: Vec<String>,
}

/// A login that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) login: String,
    /// When no access token of it can live any more.
    pub(crate) until: Timestamp,
}

impl Account {
    pub(super) fn new(user: User, password: Option<String>) -> Self {
        Self { user, password, factor: None, pending: None, ended: Vec::new() }
    }

    pub(super) fn set_password(&mut self, hash: &str) {
        self.password = Some(hash.to_owned());
        self.user.has_password = true;
    }

    /// What was given out before holds no more.
    pub(super) fn next_generation(&mut self) {
        self.user.generation += 1;
        self.ended.clear();
    }

    pub(super) fn has_ended(&self, login: &str) -> bool {
        self.ended.iter().any(|ended| ended.login == login)
    }
}
