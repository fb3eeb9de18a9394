//! Logging in: a password, and where the user has one a second factor, become a [`User`]. Owns: [`Logins`], how often somebody
//! may try, links for a new password. Must not know: HTTP, tokens, sessions: whoever logs somebody in makes those of the user.
//!
//! Whatever is wrong, the answer is the same: the same words, after the same time, for accounts that are there and that are
//! not. Which it was stands in the audit.

mod challenge;
mod links;
mod throttle;

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::time::Instant;
use zeroize::Zeroizing;

pub use challenge::Challenge;
pub use links::{LinkText, Links};

use self::{
    challenge::Challenges,
    throttle::{Taken, Throttle},
};
use super::{
    audit::{Action, Actor, Audit, Entry, Outcome},
    passwords::{self, Match, Password, PasswordError, Passwords, Weakness},
    totp::{FactorError, Factors},
    users::{Account, User, UserName, Users},
};
use crate::{
    domain::{Clock, Random, TenantId},
    limits::{LimitError, Limiter},
    store::{Records, StoreError},
};

/// A login that is refused is answered no sooner: an imported hash takes another time to check than one of ours, and that
/// must not show.
const REFUSED_AFTER: Duration = Duration::from_millis(400);

/// From where somebody tries, for the throttle and the audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// His address.
    pub address: Option<IpAddr>,
    /// The request's id.
    pub request: Option<String>,
}

/// Somebody who wants to be let in, in his own words: nothing of it needs to be well formed.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Whose user he says he is.
    pub tenant: String,
    /// As whom.
    pub name: String,
    /// With which password.
    pub password: Password,
    /// The code of his second factor, where he gives it at once.
    pub code: Option<String>,
    /// From where.
    pub from: Origin,
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// He is this user.
    In(Box<User>),
    /// The password was right; now a code is needed, with this challenge.
    CodeNeeded(Challenge),
    /// Something was wrong; nobody is told what.
    Refused,
}

/// Nobody can log in now, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Wait: it was tried too often, whether there is such an account or not.
    #[error("too many logins were tried; wait {} s", retry_after.as_secs().max(1))]
    Throttled {
        /// How long.
        retry_after: Duration,
    },
    /// As the passwords say.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// As the second factors say.
    #[error(transparent)]
    Factor(#[from] FactorError),
    /// As the limits say.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// As the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A password can't be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Choose another new one.
    #[error(transparent)]
    Weak(#[from] Weakness),
    /// Give the one that is in force, or another link.
    #[error("the present password, or the link, is not right or holds no more")]
    Refused,
    /// As logging in says.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Login(error.into())
    }
}

impl From<PasswordError> for ChangeError {
    fn from(error: PasswordError) -> Self {
        Self::Login(error.into())
    }
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Logins {
    users: Users,
    passwords: Passwords,
    factors: Factors,
    challenges: Challenges,
    links: Links,
    throttle: Throttle,
    audit: Audit,
}

impl Logins {
    /// The door for these users.
    pub fn new(
        records: &Arc<dyn Records>,
        (users, passwords, factors): (Users, Passwords, Factors),
        limiter: Arc<dyn Limiter>,
        audit: Audit,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let challenges = Challenges::new(records, clock.clone(), random.clone());
        let links = Links::new(records, clock, random);
        Self { users, passwords, factors, challenges, links, throttle: Throttle::new(limiter), audit }
    }

    /// The links for a new password.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Verifies a password, and a second factor where the user has one and the code came with it.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn attempt(&self, attempt: Attempt) -> Result<Verdict, LoginError> {
        let started = Instant::now();
        let Attempt { tenant, name, password, code, from } = attempt;
        let who = format!("{tenant}/{}", name.to_ascii_lowercase());
        let taken = self.throttled(self.throttle.login(&who, from.address).await, &who, &from).await?;
        let known = self.known(&tenant, &name, &password).await;
        let Some(account) = self.tried(known, &taken).await? else {
            self.told(Action::Login, Outcome::Refused, None, &who, &from).await;
            tokio::time::sleep_until(started + REFUSED_AFTER).await;
            return Ok(Verdict::Refused);
        };
        let user = account.user;
        self.throttle.give_back(&taken).await;
        if account.factor.is_none() {
            self.told(Action::Login, Outcome::Done, Some(&user), &who, &from).await;
            return Ok(Verdict::In(Box::new(user)));
        }
        let Some(code) = code else {
            // Somebody knows the password: that stands in the log, also where he never comes with a code.
            self.told(Action::PasswordAccepted, Outcome::Done, Some(&user), &who, &from).await;
            return Ok(Verdict::CodeNeeded(self.challenges.make(&user).await?));
        };
        self.factor(user, &code, &from, started).await
    }

    /// Goes on with the code of a second factor, by a challenge that an [`attempt`](Self::attempt) gave.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn answer(&self, challenge: &str, code: &str, from: &Origin) -> Result<Verdict, LoginError> {
        let started = Instant::now();
        let Some(open) = self.challenges.look(challenge).await? else {
            self.told(Action::SecondFactor, Outcome::Refused, None, "", from).await;
            tokio::time::sleep_until(started + REFUSED_AFTER).await;
            return Ok(Verdict::Refused);
        };
        let user = self.users.current(&open.tenant, &open.user, open.generation, "").await?;
        let Some(user) = user else { return Ok(Verdict::Refused) };
        let verdict = self.factor(user, code, from, started).await?;
        if matches!(verdict, Verdict::In(_)) && !self.challenges.close(challenge).await? {
            return Ok(Verdict::Refused);
        }
        Ok(verdict)
    }

    /// Goes on with somebody for whom a provider vouches: in at once, or by his second factor where he has one and the provider's
    /// word `is_enough` for it not.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn vouched(&self, user: User, is_enough: bool) -> Result<Verdict, LoginError> {
        let account = self.users.account(&user.tenant, &user.id).await?;
        let Some(account) = account.filter(|account| !account.user.disabled) else {
            return Ok(Verdict::Refused);
        };
        if is_enough || account.factor.is_none() {
            return Ok(Verdict::In(Box::new(user)));
        }
        Ok(Verdict::CodeNeeded(self.challenges.make(&user).await?))
    }

    /// Whether this is the password of a user who is logged in already, for what he should not do by a stolen session.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn confirm(&self, user: &User, password: &Password, from: &Origin) -> Result<bool, LoginError> {
        let who = format!("{}/{}", user.tenant, user.name);
        let taken = self.throttled(self.throttle.login(&who, from.address).await, &who, from).await?;
        let known = self.known(user.tenant.as_str(), user.name.as_str(), password).await;
        let known = self.tried(known, &taken).await?;
        let is_right = known.is_some_and(|account| account.user.id == user.id);
        if is_right {
            self.throttle.give_back(&taken).await;
        }
        Ok(is_right)
    }

    /// Ends the setting up of a second factor with a code of it: its recovery codes, or nothing where it is not the right one.
    /// Tries count as those to log in with a code do.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn confirm_factor(
        &self,
        user: &User,
        code: &str,
        from: &Origin,
    ) -> Result<Option<Vec<Zeroizing<String>>>, LoginError> {
        let taken = self.throttled(self.throttle.code(&user.id).await, user.name.as_str(), from).await?;
        let codes = self.factors.confirm(&user.tenant, &user.id, code).await?;
        if codes.is_some() {
            self.throttle.give_back(&taken).await;
        }
        Ok(codes)
    }

    /// Sets another password, and ends all that was given to the user: he logs in anew everywhere.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn change_password(
        &self,
        user: &User,
        present: &Password,
        new: &Password,
        from: &Origin,
    ) -> Result<(), ChangeError> {
        passwords::check(new, &user.name)?;
        if !self.confirm(user, present, from).await? {
            self.told(Action::PasswordChanged, Outcome::Refused, Some(user), "", from).await;
            return Err(ChangeError::Refused);
        }
        let hash = self.passwords.hash(new).await?;
        self.users.set_password(&user.tenant, &user.id, &hash).await?;
        self.told(Action::PasswordChanged, Outcome::Done, Some(user), "", from).await;
        Ok(())
    }

    /// Sets a password by a link, which holds once.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn use_link(&self, link: &str, new: &Password, from: &Origin) -> Result<(), ChangeError> {
        let taken = self.throttled(self.throttle.link(from.address).await, "", from).await?;
        let Some(open) = self.links.look(link).await? else {
            self.told(Action::PasswordChanged, Outcome::Refused, None, "", from).await;
            return Err(ChangeError::Refused);
        };
        let user = self.users.current(&open.tenant, &open.user, open.generation, "").await?;
        let user = user.ok_or(ChangeError::Refused)?;
        passwords::check(new, &user.name)?;
        let hash = self.passwords.hash(new).await?;
        if !self.links.close(link).await? {
            return Err(ChangeError::Refused);
        }
        self.throttle.give_back(&taken).await;
        self.users.set_password(&user.tenant, &user.id, &hash).await?;
        self.told(Action::PasswordChanged, Outcome::Done, Some(&user), "", from).await;
        Ok(())
    }

    /// The account of this name, where the password is its own and it may log in.
    async fn known(
        &self,
        tenant: &str,
        name: &str,
        password: &Password,
    ) -> Result<Option<Account>, LoginError> {
        let account = match (tenant.parse::<TenantId>(), name.parse::<UserName>()) {
            (Ok(tenant), Ok(name)) => self.users.account_named(&tenant, &name).await?,
            _ => None,
        };
        let stored = account.as_ref().and_then(|account| account.password.as_deref());
        let matched = self.passwords.verify(password, stored).await?;
        let (Match::Yes { better }, Some(account)) = (matched, account) else { return Ok(None) };
        if account.user.disabled {
            return Ok(None);
        }
        if let (Some(better), Some(old)) = (better, &account.password) {
            let User { tenant, id, .. } = &account.user;
            self.users.upgrade_password(tenant, id, old, &better).await?;
        }
        Ok(Some(account))
    }

    async fn factor(
        &self,
        user: User,
        code: &str,
        from: &Origin,
        started: Instant,
    ) -> Result<Verdict, LoginError> {
        let taken = self.throttled(self.throttle.code(&user.id).await, user.name.as_str(), from).await?;
        if self.factors.take(&user.tenant, &user.id, code).await? {
            self.throttle.give_back(&taken).await;
            self.told(Action::SecondFactor, Outcome::Done, Some(&user), "", from).await;
            self.told(Action::Login, Outcome::Done, Some(&user), "", from).await;
            return Ok(Verdict::In(Box::new(user)));
        }
        self.told(Action::SecondFactor, Outcome::Refused, Some(&user), "", from).await;
        tokio::time::sleep_until(started + REFUSED_AFTER).await;
        Ok(Verdict::Refused)
    }

    /// Lets through who has not tried too often; the audit hears of the others.
    async fn throttled(
        &self,
        taken: Result<Result<Taken, Duration>, LimitError>,
        who: &str,
        from: &Origin,
    ) -> Result<Taken, LoginError> {
        match taken? {
            Ok(taken) => Ok(taken),
            Err(retry_after) => {
                self.told(Action::LoginThrottled, Outcome::Refused, None, who, from).await;
                Err(LoginError::Throttled { retry_after })
            }
        }
    }

    /// What came of a try; it counts as none where nobody could say whether the password was right.
    async fn tried<T>(&self, tried: Result<T, LoginError>, taken: &Taken) -> Result<T, LoginError> {
        if tried.is_err() {
            self.throttle.give_back(taken).await;
        }
        tried
    }

    async fn told(&self, action: Action, outcome: Outcome, user: Option<&User>, who: &str, from: &Origin) {
        let mut entry = Entry::new(action).ended(outcome).by(Actor::Anonymous);
        if let Some(user) = user {
            entry =
                entry.by(Actor::Subject(format!("user:{}", user.id))).of(&user.tenant).to(user.id.clone());
        } else if !who.is_empty() {
            // What somebody typed, perhaps his password in the wrong field: its beginning is enough.
            entry = entry.to(who.chars().take(100).collect::<String>());
            let tenant = who.split_once('/').and_then(|(tenant, _)| tenant.parse::<TenantId>().ok());
            entry.tenant = tenant;
        }
        let (address, request) = (from.address, from.request.clone());
        self.audit.record(Entry { address, request, ..entry }).await;
    }
}
