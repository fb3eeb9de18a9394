//! Which accounts at providers are tied to a user: seen, and untied. Owns: the collection `oidc_ties`, by user; what holds is in
//! `oidc_links`, by account. Must not know: how an account is proved.

use serde::{Deserialize, Serialize};

use super::{Link, Oidc};
use crate::{
    domain::Timestamp,
    security::users::User,
    store::{Document, Expect, StoreError},
};

/// How many of a user's are listed, and can be tied: nobody has so many.
pub(super) const MOST: usize = 100;

/// What is kept of a tie beside the link itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tied {
    provider: String,
    since: Timestamp,
    /// As of its link.
    #[serde(default)]
    round: u64,
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
    pub async fn ties(&self, user: &User) -> Result<Vec<Tie>, StoreError> {
        let prefix = folder(user);
        let (mut ties, mut after) = (Vec::new(), None::<String>);
        // What an untying of all has left behind holds no more, and is not shown.
        let tie = |Document { key, value: Tied { provider, since, round }, .. }: Document<Tied>| {
            let id = key.strip_prefix(&prefix).filter(|_| round == user.accounts)?.to_owned();
            Some(Tie { id, provider, since })
        };
        loop {
            let page = self.0.ties.list(&prefix, after.as_deref(), MOST).await?;
            ties.extend(page.items.into_iter().filter_map(tie));
            after = page.next;
            if after.is_none() || ties.len() >= MOST {
                ties.truncate(MOST);
                return Ok(ties);
            }
        }
    }

    /// Unties one: from then on that account logs in as nobody, until it is tied anew. What it was given lives on until it
    /// ends, or the user is logged out everywhere. `None` where the user has none of this id.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Conflict`] where it was tied anew meanwhile.
    pub async fn untie(&self, user: &User, id: &str) -> Result<Option<Tie>, StoreError> {
        if id.len() != 64 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let place = format!("{}{id}", folder(user));
        let Some(found) = self.0.ties.get(&place).await? else { return Ok(None) };
        // The link first: a tie that nobody sees would log in still.
        self.unlink(user, id, |_| true).await?;
        self.0.ties.delete(&place, Expect::Anything).await?;
        let Tied { provider, since, .. } = found.value;
        Ok(Some(Tie { id: id.to_owned(), provider, since }))
    }

    /// Unties all of a user's, seen or not, and logs him out everywhere: none of what was tied before logs in as him again.
    /// `None` where there is no such user.
    ///
    /// # Errors
    /// [`StoreError`]; whether it was done is unknown then.
    pub async fn untie_all(&self, user: &User) -> Result<Option<User>, StoreError> {
        let Some(user) = self.0.users.end_accounts(&user.tenant, &user.id).await? else { return Ok(None) };
        // All is done by that one write. What is left behind only takes room.
        if let Err(error) = self.sweep_ties(&user).await {
            tracing::warn!(%error, user = user.id, "accounts that were untied are still written down; they log in as nobody");
        }
        Ok(Some(user))
    }

    /// Removes what was tied in earlier rounds and is seen.
    async fn sweep_ties(&self, user: &User) -> Result<(), StoreError> {
        let (prefix, mut after) = (folder(user), None::<String>);
        loop {
            let page = self.0.ties.list(&prefix, after.as_deref(), MOST).await?;
            for tied in page.items.into_iter().filter(|tied| tied.value.round != user.accounts) {
                let id = tied.key.strip_prefix(&prefix).unwrap_or_default();
                let swept = async {
                    self.unlink(user, id, |link| link.round != user.accounts).await?;
                    self.0.ties.delete(&tied.key, Expect::Version(tied.version)).await
                };
                match swept.await {
                    // It was tied anew meanwhile.
                    Ok(_) | Err(StoreError::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Removes the link of an account, where it is this user's and such a one.
    async fn unlink(&self, user: &User, id: &str, is_such: impl Fn(&Link) -> bool) -> Result<(), StoreError> {
        let key = format!("{}/{id}", user.tenant);
        if let Some(known) = self.0.links.get(&key).await?
            && known.value.user == user.id
            && is_such(&known.value)
        {
            self.0.links.delete(&key, Expect::Version(known.version)).await?;
        }
        Ok(())
    }

    /// Writes down that an account is tied, where that is not known yet.
    pub(super) async fn note_tie(
        &self,
        user: &User,
        link: &Link,
        id: &str,
        provider: &str,
    ) -> Result<(), StoreError> {
        let fresh = Tied { provider: provider.to_owned(), since: self.0.clock.now(), round: link.round };
        let note = |tied: &mut Option<Tied>| {
            if tied.as_ref().is_none_or(|tied| tied.round != fresh.round) {
                *tied = Some(fresh.clone());
            }
        };
        self.0.ties.update(&format!("{}{id}", folder(user)), note).await.map(|_| ())
    }
}

/// Before the ids of what is tied to a user.
fn folder(user: &User) -> String {
    format!("{}/{}/", user.tenant, user.id)
}
