//! Between the password and the code: a text that stands for a password that was right. Five minutes, five codes.

use std::{fmt, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Clock, Random, TenantId},
    security::{opaque, users::User},
    store::{Collection, Expect, Records, StoreError},
};

const PREFIX: &str = "pw_login_";
const LIFE: Duration = Duration::from_secs(300);
const MOST_TRIES: u32 = 5;

/// A challenge's text; it can't be printed.
#[derive(Clone)]
pub struct Challenge(SecretString);

impl Challenge {
    /// How long it holds.
    pub const LIFE: Duration = LIFE;

    /// The text, for him who knew the password.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(…)")
    }
}

/// Whose password was right.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) tenant: TenantId,
    pub(super) user: String,
    pub(super) generation: u64,
    tries: u32,
}

#[derive(Clone)]
pub(super) struct Challenges {
    open: Collection<Open>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Challenges {
    pub(super) fn new(records: &Arc<dyn Records>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { open: Collection::new(records.clone(), "login_challenges"), clock, random }
    }

    pub(super) async fn make(&self, user: &User) -> Result<Challenge, StoreError> {
        let text = opaque::make(PREFIX, &*self.random);
        let User { tenant, id, generation, .. } = user.clone();
        let open = Open { tenant, user: id, generation, tries: 0 };
        let end = self.clock.now().after(LIFE);
        self.open.put(&opaque::hash(text.expose_secret()), &open, Expect::Nothing, Some(end)).await?;
        Ok(Challenge(text))
    }

    /// Whose challenge this is, where it may be tried once more; the try is counted.
    pub(super) async fn look(&self, text: &str) -> Result<Option<Open>, StoreError> {
        if !opaque::is_one(PREFIX, text) {
            return Ok(None);
        }
        let count = |open: &mut Option<Open>| {
            if let Some(open) = open {
                open.tries = (open.tries + 1).min(MOST_TRIES + 1);
            }
        };
        let open = self.open.update(&opaque::hash(text), count).await?;
        Ok(open.filter(|open| open.tries <= MOST_TRIES))
    }

    /// Uses a challenge up; `false` where somebody else has.
    pub(super) async fn close(&self, text: &str) -> Result<bool, StoreError> {
        self.open.delete(&opaque::hash(text), Expect::Anything).await
    }
}
