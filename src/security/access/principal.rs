//! Who calls, once he has proved it.

use super::permission::{Grants, Permission};
use crate::{
    domain::{TenantId, Timestamp},
    security::api_keys::AddressRange,
};

/// What a credential stands for. Ids are not secret: they go to logs and to the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user, with an access token.
    User {
        /// The user's id.
        user: String,
    },
    /// A user, with a browser's session.
    Session {
        /// The user's id.
        user: String,
        /// Names the session without being its secret.
        session: String,
    },
    /// An app, with an API key.
    ApiKey {
        /// The key's id.
        key: String,
        /// From where it may be used; from everywhere where none is named.
        from: Vec<AddressRange>,
    },
}

impl Subject {
    /// For logs and the audit: `user:…` or `key:…`.
    pub fn name(&self) -> String {
        match self {
            Self::User { user } | Self::Session { user, .. } => format!("user:{user}"),
            Self::ApiKey { key, .. } => format!("key:{key}"),
        }
    }
}

/// Somebody who has proved who he is, and what he may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// For whom he acts. All that he names is looked for here and nowhere else.
    pub tenant: TenantId,
    /// Who he is.
    pub subject: Subject,
    /// What he may do.
    pub grants: Grants,
    /// When he has to prove it anew; a stream that is open ends then.
    pub until: Option<Timestamp>,
}

impl Principal {
    /// Whether he may.
    pub fn may(&self, needed: &Permission) -> bool {
        self.grants.allow(needed)
    }

    /// The user behind a token or a session; nothing where an app calls.
    pub fn user(&self) -> Option<&str> {
        match &self.subject {
            Subject::User { user } | Subject::Session { user, .. } => Some(user),
            Subject::ApiKey { .. } => None,
        }
    }
}
