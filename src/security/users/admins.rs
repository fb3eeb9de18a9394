//! Who are a tenant's admins: kept beside the users, so that of two who remove each other at one time one stays. A crash
//! between this and the user leaves too few names here, never too many: then nobody else can be removed until the change is
//! repeated.

use std::{collections::BTreeSet, sync::Arc};

use super::user::{User, UserError};
use crate::{
    domain::TenantId,
    security::access::Role,
    store::{Collection, Records, StoreError},
};

/// More than these are not counted: so many are enough.
const MOST: usize = 500;

#[derive(Clone)]
pub(super) struct Admins(Collection<BTreeSet<String>>);

impl Admins {
    pub(super) fn new(records: &Arc<dyn Records>) -> Self {
        Self(Collection::new(records.clone(), "tenant_admins"))
    }

    /// Counts a user, where he is an admin who can log in.
    pub(super) async fn count(&self, user: &User) -> Result<(), StoreError> {
        if user.disabled || user.role < Role::Admin {
            return Ok(());
        }
        let add = |admins: &mut Option<BTreeSet<String>>| {
            let admins = admins.get_or_insert_default();
            if admins.len() < MOST {
                admins.insert(user.id.clone());
            }
        };
        self.0.update(user.tenant.as_str(), add).await.map(|_| ())
    }

    /// Whether any tenant has one.
    pub(super) async fn are_there(&self) -> Result<bool, StoreError> {
        let mut after = None::<String>;
        loop {
            let page = self.0.list("", after.as_deref(), MOST).await?;
            if page.items.iter().any(|admins| !admins.value.is_empty()) {
                return Ok(true);
            }
            after = page.next;
            if after.is_none() {
                return Ok(false);
            }
        }
    }

    /// Counts a user no more, before he is changed.
    pub(super) async fn uncount(&self, tenant: &TenantId, id: &str, forced: bool) -> Result<(), UserError> {
        let mut is_last = false;
        let remove = |admins: &mut Option<BTreeSet<String>>| {
            let Some(admins) = admins else { return };
            is_last = !forced && admins.len() == 1 && admins.contains(id);
            if !is_last {
                admins.remove(id);
            }
        };
        self.0.update(tenant.as_str(), remove).await?;
        if is_last { Err(UserError::LastAdmin) } else { Ok(()) }
    }
}
