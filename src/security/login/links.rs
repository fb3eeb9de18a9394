//! Links for a new password: for who is new, and who has forgotten his. Each holds once, for a while, and until the password
//! is changed otherwise.

use std::{fmt, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Clock, Random, TenantId, Timestamp},
    security::{opaque, users::User},
    store::{Collection, Expect, Records, StoreError},
};

const PREFIX: &str = "pw_link_";

/// A link's secret part; it can't be printed.
#[derive(Clone)]
pub struct LinkText(SecretString);

impl LinkText {
    /// The text, to be shown once.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for LinkText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkText(…)")
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) tenant: TenantId,
    pub(super) user: String,
    pub(super) generation: u64,
}

/// The links that are open. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    open: Collection<Open>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Links {
    /// How long a link for a forgotten password holds.
    pub const RESET: Duration = Duration::from_secs(30 * 60);
    /// How long a link for somebody who is new holds.
    pub const INVITATION: Duration = Duration::from_secs(24 * 3_600);

    pub(super) fn new(records: &Arc<dyn Records>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { open: Collection::new(records.clone(), "password_links"), clock, random }
    }

    /// A link for this user, and when it ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn make(&self, user: &User, life: Duration) -> Result<(LinkText, Timestamp), StoreError> {
        let text = opaque::make(PREFIX, &*self.random);
        let User { tenant, id, generation, .. } = user.clone();
        let open = Open { tenant, user: id, generation };
        let end = self.clock.now().after(life);
        self.open.put(&opaque::hash(text.expose_secret()), &open, Expect::Nothing, Some(end)).await?;
        Ok((LinkText(text), end))
    }

    pub(super) async fn look(&self, text: &str) -> Result<Option<Open>, StoreError> {
        if !opaque::is_one(PREFIX, text) {
            return Ok(None);
        }
        Ok(self.open.get(&opaque::hash(text)).await?.map(|found| found.value))
    }

    /// Uses a link up; `false` where somebody else has.
    pub(super) async fn close(&self, text: &str) -> Result<bool, StoreError> {
        self.open.delete(&opaque::hash(text), Expect::Anything).await
    }
}
