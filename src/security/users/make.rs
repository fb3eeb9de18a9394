//! Users are made, each under a name of his own. Must not know: who is let in.

use std::time::Duration;

use super::{Account, Named, NewUser, User, UserError, UserName, Users, place, user};
use crate::{
    domain::{TenantId, UserId},
    store::{Expect, StoreError},
};

impl Users {
    /// Makes a user; without a password nobody can log in as him until one is set.
    ///
    /// # Errors
    /// [`UserError::NameTaken`]; [`UserError::Store`].
    pub async fn create(&self, new: NewUser) -> Result<User, UserError> {
        self.create_as(self.new_id(), new).await
    }

    /// An id for somebody who is to be made.
    pub(crate) fn new_id(&self) -> String {
        UserId::new(self.clock.now(), &*self.random).to_string()
    }

    /// The same for whom an id was written down first. Can be repeated where it broke off: who is there already is the one.
    ///
    /// # Errors
    /// As [`create`](Self::create); [`StoreError::Conflict`] where somebody else makes the same one at the same time.
    pub(crate) async fn create_as(&self, id: String, new: NewUser) -> Result<User, UserError> {
        let NewUser { tenant, name, role, password, created_by } = new;
        if let Some(account) = self.account(&tenant, &id).await? {
            self.admins.count(&account.user).await?;
            return Ok(account.user);
        }
        let now = self.clock.now();
        self.take_name(&tenant, &name, &id).await?;
        let user = User {
            id,
            tenant,
            name,
            role,
            disabled: false,
            // Of a user who was removed and made anew nothing holds: the id is another one.
            generation: 1,
            accounts: 0,
            second_factor: false,
            has_password: password.is_some(),
            created_by,
            created_at: now,
            changed_at: now,
        };
        let account = Account::new(user.clone(), password);
        self.accounts.put(&place(&user.tenant, &user.id), &account, Expect::Nothing, None).await?;
        self.admins.count(&user).await?;
        Ok(user)
    }

    /// Takes a name for a user to be; also one that a making left behind which broke off.
    async fn take_name(&self, tenant: &TenantId, name: &UserName, id: &str) -> Result<(), UserError> {
        let (key, named) = (place(tenant, name.as_str()), Named { user: id.to_owned() });
        let taken = || UserError::NameTaken { name: name.clone() };
        match self.names.put(&key, &named, Expect::Nothing, None).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(found) = self.names.get(&key).await? else { return Err(taken()) };
        if found.value == named {
            return Ok(());
        }
        let abandoned = user::made_at(&found.value.user)
            .is_none_or(|made| self.clock.now().since(made) > Duration::from_secs(60));
        if !abandoned || self.account_named(tenant, name).await?.is_some() {
            return Err(taken());
        }
        match self.names.put(&key, &named, Expect::Version(found.version), None).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => Err(taken()),
            Err(error) => Err(error.into()),
        }
    }
}
