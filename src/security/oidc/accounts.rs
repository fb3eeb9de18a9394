//! Whose an account at a provider is. Owns: the collection `oidc_links`, by account. Must not know: how an account is proved.
//!
//! A link holds while it was made in the present round of its user's ([`User::accounts`]): an administrator who unties all at
//! once raises that one number, and whatever was tied before, listed or not, is as if it were not there.
//!
//! Somebody new is written down in the link before he is made, and every step to him can be repeated: whichever of them fails,
//! and wherever the process ends, his next login goes on from there.

use serde::{Deserialize, Serialize};

use super::{
    LinkTo, Oidc, OidcError, binding::hash, id_token::Claims, provider::Peer, refused,
    ties::MOST as MOST_TIED,
};
use crate::{
    security::users::{NewUser, User, UserError, UserName},
    store::{Document, Expect, StoreError},
};

/// How often a link is looked at anew where another login of the same account was faster.
const MOST_TRIES: usize = 8;

/// Whose an account at a provider is, by tenant and the hash of issuer and subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) user: String,
    /// [`User::accounts`] when it was made.
    #[serde(default)]
    pub(super) round: u64,
    /// Whether its user is still to be made, or may not be wholly there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_new: bool,
}

/// What an account is to somebody.
enum Whose {
    /// This user's.
    User(User),
    /// Of one who is being made.
    New,
    /// Of one who was removed.
    Removed,
    /// Nobody's any more.
    Untied,
}

impl Oidc {
    /// The user whose account there this is; a new one where nobody's, and that is allowed.
    pub(super) async fn user(
        &self,
        provider: &str,
        peer: &Peer,
        claims: &Claims,
    ) -> Result<(User, bool), OidcError> {
        let mut tries = 1;
        loop {
            match self.try_user(provider, peer, claims).await {
                Err(OidcError::Store(StoreError::Conflict { .. })) if tries < MOST_TRIES => tries += 1,
                result => return result,
            }
        }
    }

    async fn try_user(
        &self,
        provider: &str,
        peer: &Peer,
        claims: &Claims,
    ) -> Result<(User, bool), OidcError> {
        let id = account_id(peer, claims);
        let key = link_key(peer, &id);
        let found = self.0.links.get(&key).await?;
        let whose = match &found {
            Some(found) => self.whose(peer, &found.value).await?,
            None => Whose::Untied,
        };
        let (user, link) = match (whose, found) {
            (Whose::User(user), Some(Document { value: link, .. })) => {
                self.note_tie(&user, &link, &id, provider).await?;
                return Ok((user, false));
            }
            (Whose::Removed, _) => return Err(refused("the user was removed")),
            (Whose::New, Some(found)) => (found.value.user.clone(), found),
            (_, found) => {
                if !peer.settings.provision {
                    return Err(refused("the account is nobody's here"));
                }
                let expect = found.map_or(Expect::Nothing, |found| Expect::Version(found.version));
                let value = Link { user: self.0.users.new_id(), round: 0, is_new: true };
                let version = self.0.links.put(&key, &value, expect, None).await?;
                (value.user.clone(), Document { key: key.clone(), version, value, expires_at: None })
            }
        };
        let user = self.make(user, provider, peer, claims).await?;
        let made = Link { is_new: false, round: user.accounts, ..link.value };
        self.0.links.put(&key, &made, Expect::Version(link.version), None).await?;
        self.note_tie(&user, &made, &id, provider).await?;
        Ok((user, true))
    }

    async fn whose(&self, peer: &Peer, link: &Link) -> Result<Whose, StoreError> {
        let user = self.0.users.get(&peer.settings.tenant, &link.user).await?;
        Ok(match user {
            Some(user) if user.accounts != link.round => Whose::Untied,
            _ if link.is_new => Whose::New,
            Some(user) => Whose::User(user),
            None => Whose::Removed,
        })
    }

    /// Makes a user who logs in by the provider only. He is called as he is there where that name is free, which gives him
    /// nothing of anybody's.
    async fn make(
        &self,
        id: String,
        provider: &str,
        peer: &Peer,
        claims: &Claims,
    ) -> Result<User, OidcError> {
        let fallback = format!("{provider}-{}", &hash(&[&peer.settings.issuer, &claims.sub])[..16]);
        let names = claims.preferred_username.iter().chain([&fallback]);
        for name in names.filter_map(|name| name.parse::<UserName>().ok()) {
            let new = NewUser {
                tenant: peer.settings.tenant.clone(),
                name,
                role: peer.settings.default_role,
                password: None,
                created_by: format!("oidc:{provider}"),
            };
            match self.0.users.create_as(id.clone(), new).await {
                Ok(user) => return Ok(user),
                Err(UserError::Store(error)) => return Err(error.into()),
                Err(UserError::NameTaken { .. } | UserError::LastAdmin) => {}
            }
        }
        Err(refused("there is no free name for the new user"))
    }

    /// Ties an account there to a user who was logged in when he began.
    pub(super) async fn link(
        &self,
        provider: &str,
        peer: &Peer,
        claims: &Claims,
        to: &LinkTo,
    ) -> Result<User, OidcError> {
        let tenant = &peer.settings.tenant;
        let user = self.0.users.current(tenant, &to.user, to.generation, "").await?;
        let user = user.ok_or_else(|| refused("the user has logged out everywhere meanwhile"))?;
        let (id, link) =
            (account_id(peer, claims), Link { user: user.id.clone(), round: user.accounts, is_new: false });
        let key = link_key(peer, &id);
        let mut tries = 1;
        loop {
            let found = self.0.links.get(&key).await?;
            let expect = match &found {
                Some(found) if found.value == link => break,
                _ if self.ties(&user).await?.len() >= MOST_TIED => {
                    return Err(refused("the user has tied as many accounts as can be: untie one first"));
                }
                Some(found) => match self.whose(peer, &found.value).await? {
                    Whose::Untied => Expect::Version(found.version),
                    Whose::User(_) | Whose::New | Whose::Removed => {
                        return Err(refused("the account is another user's"));
                    }
                },
                None => Expect::Nothing,
            };
            match self.0.links.put(&key, &link, expect, None).await {
                Ok(_) => break,
                Err(StoreError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
        self.note_tie(&user, &link, &id, provider).await?;
        Ok(user)
    }
}

/// Names an account there, and tells nothing of it.
fn account_id(peer: &Peer, claims: &Claims) -> String {
    hash(&[&peer.settings.issuer, &claims.sub])
}

fn link_key(peer: &Peer, id: &str) -> String {
    format!("{}/{id}", peer.settings.tenant)
}
