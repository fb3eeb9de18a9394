//! What is known of a session, and how long it may live. Pure.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{TenantId, Timestamp},
    security::access::Role,
};

/// The most bytes that are kept of what a browser calls itself.
pub(super) const MOST_AGENT_BYTES: usize = 200;

/// How long sessions live, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRules {
    /// A session that was not used for so long ends. Default 30 minutes.
    pub idle: Duration,
    /// A session ends when it is this old. Default 12 hours.
    pub most_age: Duration,
    /// The most sessions of a user: with one more, his oldest ends. Default 100.
    pub most: usize,
}

impl Default for SessionRules {
    fn default() -> Self {
        Self { idle: Duration::from_secs(30 * 60), most_age: Duration::from_secs(12 * 3_600), most: 100 }
    }
}

/// What is known of a session; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `ses_` and 20 hexadecimal digits.
    pub id: String,
    /// Whose user.
    pub tenant: TenantId,
    /// Whose session.
    pub user: String,
    /// The user's generation at its beginning.
    pub generation: u64,
    /// His role at its beginning.
    pub role: Role,
    /// How he proved who he is: `password`, or `oidc:` and a provider.
    pub method: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub seen_at: Timestamp,
    /// When it ends in any case.
    pub ends_at: Timestamp,
    /// From where it began.
    pub address: Option<IpAddr>,
    /// What the browser called itself then.
    pub agent: Option<String>,
}

impl Session {
    /// When it ends unless it is used.
    pub(super) fn expires_at(&self, rules: &SessionRules) -> Timestamp {
        self.seen_at.after(rules.idle).min(self.ends_at)
    }
}

/// From where, and by what, a session begins.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// `password`, or `oidc:` and a provider.
    pub method: String,
    /// The browser's address.
    pub address: Option<IpAddr>,
    /// What it calls itself.
    pub agent: Option<String>,
}

/// What a browser calls itself, without what does not belong in a line of text.
pub(super) fn cleaned(agent: String) -> String {
    let mut text: String = agent.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    text.truncate(text.floor_char_boundary(MOST_AGENT_BYTES));
    text
}
