//! Tokens: what apps that speak for a user carry. Owns: [`Tokens`] (short access tokens that anybody can verify, and refresh
//! tokens that are good for one use), their keys, [`crypto`]. Must not know: HTTP, how somebody logged in.
//!
//! An access token is verified by its signature, and then held against the user as he is now, which is one read of one
//! record: so logging out, another password or another role are in force at once, in every process.

mod access;
pub mod crypto;
mod keys;
mod refresh;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

pub use keys::PublicKey;

use self::{
    access::{Claims, seconds},
    keys::SigningKeys,
    refresh::{Families, Rotated},
};
use super::{
    Keyring, KeyringError,
    access::{Principal, Subject},
    text::hex,
    users::{User, Users},
};
use crate::{
    domain::{Clock, Random, TenantId, Timestamp},
    store::{Records, StoreError},
};

/// How long an access token lives.
pub const ACCESS_LIFE: Duration = Duration::from_secs(600);
/// How much clocks of this fleet may differ.
const LEEWAY: Duration = Duration::from_secs(5);
/// How long a login may be refreshed, however it is used.
pub const REFRESH_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// How long it may rest.
pub const REFRESH_IDLE: Duration = Duration::from_secs(7 * 86_400);
/// For so long a token that was just used is answered with the same successor: a client may ask twice at once.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);

/// Tokens can't be made or checked, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// As the keyring says: signing keys are sealed with it.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// As the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rotate the signing keys; where that does not help, report it.
    #[error("a signing key can't be used: {0}")]
    Broken(String),
}

impl TokenError {
    fn broken(cause: impl std::fmt::Display) -> Self {
        Self::Broken(cause.to_string())
    }
}

/// What a login is given.
#[derive(Clone)]
pub struct Issued {
    access: SecretString,
    refresh: SecretString,
    /// Whose they are.
    pub user: User,
    /// Names the login.
    pub login: String,
    /// When the access token ends.
    pub until: Timestamp,
}

impl Issued {
    /// The access token.
    pub fn access(&self) -> &str {
        self.access.expose_secret()
    }

    /// The refresh token, never to be had again.
    pub fn refresh(&self) -> &str {
        self.refresh.expose_secret()
    }
}

/// What became of a refresh token.
pub enum Refreshed {
    /// New tokens.
    Issued(Box<Issued>),
    /// It holds no more, or never did.
    Refused,
    /// It was used before: its login has ended, for somebody may have stolen it.
    Reused {
        /// Whose login it was.
        tenant: TenantId,
        /// Of which user.
        user: String,
    },
}

/// A login that was ended by its refresh token.
pub struct LoggedOut {
    /// Whose it was.
    pub tenant: TenantId,
    /// Of which user.
    pub user: String,
}

/// The tokens of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Tokens {
    users: Users,
    keys: Arc<SigningKeys>,
    families: Families,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Tokens {
    /// For these users, with signing keys that this keyring seals.
    pub fn new(
        records: &Arc<dyn Records>,
        users: Users,
        keyring: Keyring,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let keys = Arc::new(SigningKeys::new(records, keyring, clock.clone(), random.clone()));
        let families = Families::new(records, clock.clone(), random.clone());
        Self { users, keys, families, clock, random }
    }

    /// Begins a login of somebody who has proved who he is.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn issue(&self, user: &User) -> Result<Issued, TokenError> {
        // The key first: a login that nobody can be told of should not begin.
        self.keys.signer().await?;
        let (login, refresh) = self.families.begin(user).await?;
        self.issued(user.clone(), login, refresh).await
    }

    /// Gives new tokens for a refresh token, which is used up by it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn refresh(&self, text: &str, address: Option<IpAddr>) -> Result<Refreshed, TokenError> {
        // As above: who is not answered would have lost his token.
        self.keys.signer().await?;
        match self.families.rotate(text, address).await? {
            Rotated::Unknown => Ok(Refreshed::Refused),
            Rotated::Reused { family, login } => {
                self.users.end_login(&family.tenant, &family.user, &login).await?;
                Ok(Refreshed::Reused { tenant: family.tenant, user: family.user })
            }
            Rotated::Successor { family, login, text } => {
                let user =
                    self.users.current(&family.tenant, &family.user, family.generation, &login).await?;
                let Some(user) = user else { return Ok(Refreshed::Refused) };
                Ok(Refreshed::Issued(Box::new(self.issued(user, login, text).await?)))
            }
        }
    }

    /// Ends the login that a refresh token belongs to, and its access tokens, at once. `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_out(&self, refresh: &str) -> Result<Option<LoggedOut>, StoreError> {
        let Some((family, login)) = self.families.end(refresh).await? else { return Ok(None) };
        self.users.end_login(&family.tenant, &family.user, &login).await?;
        Ok(Some(LoggedOut { tenant: family.tenant, user: family.user }))
    }

    /// Who calls with this access token; `None` where it does not hold.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn principal(&self, token: &str) -> Result<Option<Principal>, TokenError> {
        let Some(kid) = access::key_id(token) else { return Ok(None) };
        let Some(key) = self.keys.verifier(&kid).await? else { return Ok(None) };
        let Some(claims) = access::read(token, &key, self.clock.now()) else { return Ok(None) };
        let Claims { tenant, sub, generation, sid, exp, .. } = claims;
        let user = self.users.current(&tenant, &sub, generation, &sid).await?;
        let until = Timestamp::from_millis(exp.saturating_mul(1_000));
        Ok(user.map(|user| user.principal(Subject::User { user: sub }, Some(until))))
    }

    /// The public keys that access tokens are verified with.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn public_keys(&self) -> Result<Vec<PublicKey>, TokenError> {
        self.keys.public().await
    }

    /// Makes a new signing key, which is published a minute before it signs; tokens of the old one hold until they end.
    /// Where that one is known to somebody else it is thrown away at once, and all access tokens with it: other processes
    /// take none within ten seconds.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn rotate_keys(&self, throw_away: bool) -> Result<(), TokenError> {
        self.keys.rotate(throw_away).await
    }

    async fn issued(&self, user: User, login: String, refresh: SecretString) -> Result<Issued, TokenError> {
        let (kid, key) = self.keys.signer().await?;
        let mut id = [0; 16];
        self.random.fill(&mut id);
        let iat = self.clock.now().as_millis() / 1_000;
        let exp = iat + seconds(ACCESS_LIFE);
        let claims = Claims {
            iss: access::ISSUER.to_owned(),
            aud: access::AUDIENCE.to_owned(),
            sub: user.id.clone(),
            tenant: user.tenant.clone(),
            role: user.role,
            generation: user.generation,
            sid: login.clone(),
            iat,
            exp,
            jti: hex(&id),
        };
        let access = access::write(&kid, &key, &claims)?.into();
        Ok(Issued { access, refresh, user, login, until: Timestamp::from_millis(exp * 1_000) })
    }
}
