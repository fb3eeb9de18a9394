//! Everything by which somebody proves who he is, in one piece. Must not know: HTTP.

use std::sync::Arc;

use super::{
    Keyring, audit::Audit, login::Logins, passwords::Passwords, tokens::Tokens, totp::Factors, users::Users,
};
use crate::{
    domain::{Clock, Random},
    limits::Limiter,
    store::Records,
};

/// Users and how they log in. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    /// Who may log in.
    pub users: Users,
    /// How passwords are hashed: a few at a time.
    pub passwords: Passwords,
    /// Second factors.
    pub factors: Factors,
    /// The door.
    pub logins: Logins,
    /// What those carry who came through it.
    pub tokens: Tokens,
}

impl Identity {
    /// Over these records.
    pub fn new(
        records: &Arc<dyn Records>,
        keyring: &Keyring,
        limiter: Arc<dyn Limiter>,
        audit: &Audit,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Self {
        let users = Users::new(records, clock.clone(), random.clone());
        let passwords = Passwords::new(random.clone());
        let factors = Factors::new(users.clone(), keyring.clone(), clock.clone(), random.clone());
        let parts = (users.clone(), passwords.clone(), factors.clone());
        let logins = Logins::new(records, parts, limiter, audit.clone(), clock.clone(), random.clone());
        let tokens = Tokens::new(records, users.clone(), keyring.clone(), clock.clone(), random.clone());
        Self { users, passwords, factors, logins, tokens }
    }
}
