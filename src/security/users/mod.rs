//! Users: who may log in, and what they may do. Owns: [`Users`], the documents behind them, the rule that each name is one
//! user's. Must not know: HTTP, how a password is checked.
//!
//! A user has a [`generation`](User::generation), which rises whenever what was given out before shall hold no more: tokens
//! and sessions carry the one of their beginning, and [`Users::current`] holds them against the user as he is now, with one
//! read of one record. A single login ends by its id ([`Users::end_login`]), which is kept as long as an access token lives.

mod account;
mod admins;
mod make;
mod user;

use std::{sync::Arc, time::Duration};

pub(crate) use account::{Account, Factor};
pub use user::{NewUser, User, UserError, UserName, UserNameError, UserPage};

use serde::{Deserialize, Serialize};

use self::account::Ended;
use super::access::{Principal, Role, Subject};
use crate::{
    domain::{Clock, Random, TenantId, Timestamp},
    store::{Collection, Expect, Records, StoreError},
};

/// How long an ended login is remembered by its user: longer than an access token lives.
pub(crate) const ENDED_KEPT: Duration = Duration::from_secs(11 * 60);
/// How many ended logins are remembered; who ends more within [`ENDED_KEPT`] is logged out everywhere.
const MOST_ENDED: usize = 100;

/// Whose a name is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    user: String,
}

/// The users of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Users {
    /// By tenant and id.
    accounts: Collection<Account>,
    /// By tenant and name.
    names: Collection<Named>,
    admins: admins::Admins,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Users {
    /// The users in these records.
    pub fn new(records: &Arc<dyn Records>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            accounts: Collection::new(records.clone(), "users"),
            names: Collection::new(records.clone(), "user_names"),
            admins: admins::Admins::new(records),
            clock,
            random,
        }
    }

    /// Whether any tenant has an admin who is not disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_admin(&self) -> Result<bool, StoreError> {
        self.admins.are_there().await
    }

    /// A tenant's user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, tenant: &TenantId, id: &str) -> Result<Option<User>, StoreError> {
        Ok(self.account(tenant, id).await?.map(|account| account.user))
    }

    /// A tenant's user of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn named(&self, tenant: &TenantId, name: &UserName) -> Result<Option<User>, StoreError> {
        Ok(self.account_named(tenant, name).await?.map(|account| account.user))
    }

    /// A tenant's users, by id, so the oldest first; at most `most` (1 to 1,000), from behind the id `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        most: usize,
    ) -> Result<UserPage, StoreError> {
        let prefix = format!("{tenant}/");
        let after = after.map(|id| format!("{prefix}{id}"));
        let page = self.accounts.list(&prefix, after.as_deref(), most).await?;
        let next = page.next.map(|key| key.strip_prefix(&prefix).unwrap_or_default().to_owned());
        Ok(UserPage { items: page.items.into_iter().map(|found| found.value.user).collect(), next })
    }

    /// The user, where what was given to him under this generation still holds: he is there, is not disabled, and was not
    /// logged out everywhere since. `login` is what is asked about: the id of a token's login or of a session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn current(
        &self,
        tenant: &TenantId,
        id: &str,
        generation: u64,
        login: &str,
    ) -> Result<Option<User>, StoreError> {
        let account = self.account(tenant, id).await?;
        let holds = |account: &Account| {
            let user = &account.user;
            !user.disabled && user.generation == generation && !account.has_ended(login)
        };
        Ok(account.filter(holds).map(|account| account.user))
    }

    /// Who calls with a browser's session of this user that began under this generation; `None` where it holds no more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn principal(
        &self,
        tenant: &TenantId,
        id: &str,
        generation: u64,
        session: &str,
        until: Option<Timestamp>,
    ) -> Result<Option<Principal>, StoreError> {
        let user = self.current(tenant, id, generation, session).await?;
        let subject = Subject::Session { user: id.to_owned(), session: session.to_owned() };
        Ok(user.map(|user| user.principal(subject, until)))
    }

    /// Ends one login at once: access tokens of it hold no more. `None` where there is no such user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_login(
        &self,
        tenant: &TenantId,
        id: &str,
        login: &str,
    ) -> Result<Option<User>, StoreError> {
        let now = self.clock.now();
        let changed = self.change(tenant, id, |account| {
            account.ended.retain(|ended| ended.until > now);
            if account.has_ended(login) {
                return;
            }
            if account.ended.len() >= MOST_ENDED {
                account.user.generation += 1;
                account.ended.clear();
                return;
            }
            account.ended.push(Ended { login: login.to_owned(), until: now.after(ENDED_KEPT) });
        });
        Ok(changed.await?.map(|account| account.user))
    }

    /// Ends all that was given to the user: tokens, sessions, refresh tokens, links. `None` where there is no such user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_all(&self, tenant: &TenantId, id: &str) -> Result<Option<User>, StoreError> {
        Ok(self.change(tenant, id, |account| account.next_generation()).await?.map(|account| account.user))
    }

    /// Ends all that was given to the user, and all that was tied to him: no account at a provider that was tied before logs in
    /// as him again. One write. `None` where there is no such user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_accounts(&self, tenant: &TenantId, id: &str) -> Result<Option<User>, StoreError> {
        let changed = self.change(tenant, id, |account| {
            account.user.accounts += 1;
            account.next_generation();
        });
        Ok(changed.await?.map(|account| account.user))
    }

    /// Lets the user log in, or not; one who is disabled is logged out everywhere. `None` where there is no such user.
    ///
    /// # Errors
    /// [`UserError::LastAdmin`] where nobody would be left to undo it, unless that is `forced`; [`UserError::Store`].
    pub async fn set_disabled(
        &self,
        tenant: &TenantId,
        id: &str,
        disabled: bool,
        forced: bool,
    ) -> Result<Option<User>, UserError> {
        if disabled {
            self.admins.uncount(tenant, id, forced).await?;
        }
        let changed = self.change(tenant, id, |account| {
            if account.user.disabled != disabled {
                account.user.disabled = disabled;
                account.next_generation();
            }
        });
        self.settled(changed.await?).await
    }

    /// Gives the user another role, at once: it is read with each request. `None` where there is no such user.
    ///
    /// # Errors
    /// As [`set_disabled`](Self::set_disabled).
    pub async fn set_role(
        &self,
        tenant: &TenantId,
        id: &str,
        role: Role,
        forced: bool,
    ) -> Result<Option<User>, UserError> {
        if role < Role::Admin {
            self.admins.uncount(tenant, id, forced).await?;
        }
        let changed = self.change(tenant, id, |account| account.user.role = role);
        self.settled(changed.await?).await
    }

    /// Removes a user for good; nothing of him holds from then on. `None` where there is no such user.
    ///
    /// # Errors
    /// As [`set_disabled`](Self::set_disabled).
    pub async fn remove(&self, tenant: &TenantId, id: &str, forced: bool) -> Result<Option<User>, UserError> {
        let Some(account) = self.account(tenant, id).await? else { return Ok(None) };
        self.admins.uncount(tenant, id, forced).await?;
        self.accounts.delete(&place(tenant, id), Expect::Anything).await?;
        // The name last: while it is there nobody else is called so. Unless somebody has found it abandoned already.
        let name = place(tenant, account.user.name.as_str());
        if let Some(found) = self.names.get(&name).await?.filter(|found| found.value.user == id) {
            match self.names.delete(&name, Expect::Version(found.version)).await {
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(account.user))
    }

    /// Sets the hash of a password, and ends all that was given out before. `None` where there is no such user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn set_password(
        &self,
        tenant: &TenantId,
        id: &str,
        hash: &str,
    ) -> Result<Option<User>, StoreError> {
        let changed = self.change(tenant, id, |account| {
            account.set_password(hash);
            account.next_generation();
        });
        Ok(changed.await?.map(|account| account.user))
    }

    /// Puts another hash of the same password in a hash's place, where that one still stands.
    pub(crate) async fn upgrade_password(
        &self,
        tenant: &TenantId,
        id: &str,
        old: &str,
        new: &str,
    ) -> Result<(), StoreError> {
        let key = place(tenant, id);
        let changed = self.accounts.update(&key, |account| {
            if let Some(account) = account.as_mut().filter(|account| account.password.as_deref() == Some(old))
            {
                account.set_password(new);
            }
        });
        changed.await.map(|_| ())
    }

    pub(crate) async fn account(&self, tenant: &TenantId, id: &str) -> Result<Option<Account>, StoreError> {
        if !user::is_id(id) {
            return Ok(None);
        }
        Ok(self.accounts.get(&place(tenant, id)).await?.map(|found| found.value))
    }

    pub(crate) async fn account_named(
        &self,
        tenant: &TenantId,
        name: &UserName,
    ) -> Result<Option<Account>, StoreError> {
        let Some(named) = self.names.get(&place(tenant, name.as_str())).await? else { return Ok(None) };
        let account = self.account(tenant, &named.value.user).await?;
        Ok(account.filter(|account| account.user.name == *name))
    }

    /// Changes a user's account as if in one step; `None` where there is no such user.
    pub(crate) async fn change(
        &self,
        tenant: &TenantId,
        id: &str,
        mut change: impl FnMut(&mut Account) + Send,
    ) -> Result<Option<Account>, StoreError> {
        if !user::is_id(id) {
            return Ok(None);
        }
        let now = self.clock.now();
        let change = |found: &mut Option<Account>| {
            let Some(account) = found else { return };
            let before = account.user.clone();
            change(account);
            if account.user != before {
                account.user.changed_at = now;
            }
        };
        self.accounts.update(&place(tenant, id), change).await
    }

    async fn settled(&self, account: Option<Account>) -> Result<Option<User>, UserError> {
        let Some(account) = account else { return Ok(None) };
        self.admins.count(&account.user).await?;
        Ok(Some(account.user))
    }
}

fn place(tenant: &TenantId, name: &str) -> String {
    format!("{tenant}/{name}")
}
