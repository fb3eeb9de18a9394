//! Which accounts at providers are tied to a user: seen, and untied. Owns: the collection `oidc_ties`, by user; what holds is in
//! `oidc_links`, by account. Must not know: how an account is proved.

use serde::{Deserialize, Serialize};

use super::{Link, Oidc};
use crate::{
    domain::{TenantId, Timestamp},
    store::{Document, Expect, StoreError},
};

/// How many of a user's are listed: nobody has so many.
const MOST: usize = 100;

/// What is kept of a tie beside the link itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tied {
    provider: String,
    since: Timestamp,
}

/// An account at a provider that logs in as a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tie {
    /// Names it.
    pub id: String,
    /// The provider by which it was tied.
    pub provider: String,
    /// When it was tied; of one that was tied before this was written down, when it was used first since.
    pub since: Timestamp,
}

impl Oidc {
    /// A user's, in no order; those that were tied before ties were written down are here once they have been used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ties(&self, tenant: &TenantId, user: &str) -> Result<Vec<Tie>, StoreError> {
        let prefix = format!("{tenant}/{user}/");
        let page = self.0.ties.list(&prefix, None, MOST).await?;
        let tie = |found: Document<Tied>| {
            let Tied { provider, since } = found.value;
            Some(Tie { id: found.key.strip_prefix(&prefix)?.to_owned(), provider, since })
        };
        Ok(page.items.into_iter().filter_map(tie).collect())
    }

    /// Unties one: from then on that account logs in as nobody, until it is tied anew. What it was given lives on until it
    /// ends, or the user is logged out everywhere. `None` where the user has none of this id.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Conflict`] where it was tied anew meanwhile.
    pub async fn untie(&self, tenant: &TenantId, user: &str, id: &str) -> Result<Option<Tie>, StoreError> {
        if id.len() != 64 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let (place, link) = (format!("{tenant}/{user}/{id}"), format!("{tenant}/{id}"));
        let Some(found) = self.0.ties.get(&place).await? else { return Ok(None) };
        // The link first: a tie that nobody sees would log in still.
        if let Some(known) = self.0.links.get(&link).await?
            && known.value.user == user
        {
            self.0.links.delete(&link, Expect::Version(known.version)).await?;
        }
        self.0.ties.delete(&place, Expect::Anything).await?;
        let Tied { provider, since } = found.value;
        Ok(Some(Tie { id: id.to_owned(), provider, since }))
    }

    /// Writes down that an account is tied, where that is not known yet.
    pub(super) async fn note_tie(
        &self,
        tenant: &TenantId,
        link: &Link,
        id: &str,
        provider: &str,
    ) -> Result<(), StoreError> {
        let tied = Tied { provider: provider.to_owned(), since: self.0.clock.now() };
        match self.0.ties.put(&format!("{tenant}/{}/{id}", link.user), &tied, Expect::Nothing, None).await {
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
