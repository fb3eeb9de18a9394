//! Logging in by somebody else's word: OpenID Connect, authorization code with PKCE. Owns: [`Oidc`], the way to a provider and
//! back, whose accounts there are whose here. Must not know: HTTP of ours, cookies, sessions.
//!
//! A login begins with a secret that only the browser keeps (its *binding*); nonce and PKCE verifier are made from it, and of
//! the login only hashes are stored, for ten minutes and one use. An account there is an account here by issuer and subject
//! alone: never by a name or an address of mail, which a provider may let anybody choose.

mod accounts;
mod binding;
mod id_token;
mod provider;
#[cfg(test)]
mod tests;
mod ties;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::Url;

use self::{
    accounts::Link,
    binding::{challenge, hash, random_text},
    provider::Peer,
    ties::Tied,
};
use super::{
    outgoing::{Outgoing, OutgoingError},
    users::{User, Users},
};
use crate::{
    domain::{Clock, Random, TenantId},
    store::{Collection, Expect, Records, StoreError},
};

pub use binding::{Binding, own_path};
pub use provider::{ClientSecret, OidcProvider, SecondFactor};
pub use ties::Tie;

/// How long somebody may take at the provider.
const LOGIN_LIFE: Duration = Duration::from_secs(600);
/// The most bytes of what a browser brings back.
const MOST_BYTES: usize = 4_096;

/// A login by a provider can't go on, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// Name a provider that is set up.
    #[error("there is no such provider")]
    Unknown,
    /// Begin anew; what was wrong is for the audit, not for the browser.
    #[error("{0}")]
    Refused(String),
    /// Mend the provider, or its settings.
    #[error("the provider can't be used: {0}")]
    Provider(&'static str),
    /// As the call to the provider says.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    /// As the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn refused(why: impl Into<String>) -> OidcError {
    OidcError::Refused(why.into())
}

/// For whom a login is: the user that an account there is to be tied to, or whoever comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTo {
    /// The user's id.
    pub user: String,
    /// His generation: where that has risen meanwhile, he is not the one any more.
    pub generation: u64,
}

/// A login that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: Url,
    /// What it keeps.
    pub binding: Binding,
}

/// What a browser brings back.
#[derive(Clone, Debug, Default)]
pub struct Returned {
    /// The login.
    pub state: String,
    /// What the provider's answer is had for.
    pub code: Option<String>,
    /// Who says so (RFC 9207).
    pub issuer: Option<String>,
    /// What the provider says instead.
    pub error: Option<String>,
}

/// A login that came back.
#[derive(Debug)]
pub struct Finished {
    /// Who has logged in.
    pub user: User,
    /// Whether he was not known before.
    pub is_new: bool,
    /// Whether he only tied his account there to himself: he was logged in before.
    pub is_link: bool,
    /// Whether the provider's word is enough also where he has a second factor here.
    pub is_enough: bool,
    /// Where the browser wanted to.
    pub return_to: String,
}

/// A login on its way, by the hash of its state.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Login {
    provider: String,
    binding: String,
    return_to: String,
    link: Option<LinkTo>,
}

/// The providers that are set up. Cheap to clone.
#[derive(Clone)]
pub struct Oidc(Arc<Inner>);

struct Inner {
    peers: BTreeMap<String, Peer>,
    logins: Collection<Login>,
    links: Collection<Link>,
    /// By tenant, user and that hash.
    ties: Collection<Tied>,
    users: Users,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Oidc {
    /// These providers, for the users of these records.
    pub fn new(
        providers: &BTreeMap<String, OidcProvider>,
        records: &Arc<dyn Records>,
        users: Users,
        outgoing: &Outgoing,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let peer = |(name, settings): (&String, &OidcProvider)| {
            (name.clone(), Peer::new(settings.clone(), outgoing.clone(), clock.clone()))
        };
        Self(Arc::new(Inner {
            peers: providers.iter().map(peer).collect(),
            logins: Collection::new(records.clone(), "oidc_logins"),
            links: Collection::new(records.clone(), "oidc_links"),
            ties: Collection::new(records.clone(), "oidc_ties"),
            users,
            clock,
            random,
        }))
    }

    /// How long a login may take.
    pub const LOGIN_LIFE: Duration = LOGIN_LIFE;

    /// Whose users a provider speaks for.
    pub fn tenant(&self, provider: &str) -> Option<&TenantId> {
        self.0.peers.get(provider).map(|peer| &peer.settings.tenant)
    }

    /// Begins a login, or ties an account to a user who is logged in.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn begin(
        &self,
        provider: &str,
        return_to: &str,
        link: Option<LinkTo>,
    ) -> Result<Begun, OidcError> {
        let peer = self.0.peers.get(provider).ok_or(OidcError::Unknown)?;
        let metadata = peer.metadata().await?;
        let (state, binding) = (random_text(&*self.0.random), Binding::new(&*self.0.random));
        let (provider, return_to) = (provider.to_owned(), own_path(return_to).to_owned());
        let login = Login { provider, binding: hash(&[binding.reveal()]), return_to, link };
        let end = Some(self.0.clock.now().after(LOGIN_LIFE));
        self.0.logins.put(&hash(&[&state]), &login, Expect::Nothing, end).await?;
        let mut url = Url::parse(&metadata.authorization_endpoint)
            .map_err(|_| OidcError::Provider("its authorization endpoint is no URL"))?;
        let scope = ["openid"].into_iter().chain(peer.settings.scopes.iter().map(String::as_str));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &peer.settings.client_id)
            .append_pair("redirect_uri", &peer.settings.redirect_uri)
            .append_pair("scope", &scope.collect::<Vec<_>>().join(" "))
            .append_pair("state", &state)
            .append_pair("nonce", &binding.nonce())
            .append_pair("code_challenge", &challenge(&binding.verifier()))
            .append_pair("code_challenge_method", "S256");
        Ok(Begun { url, binding })
    }

    /// Goes on with a login whose browser came back from the provider. Each is gone on with once, whatever comes of it.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn finish(
        &self,
        provider: &str,
        returned: Returned,
        binding: Option<Binding>,
    ) -> Result<Finished, OidcError> {
        let peer = self.0.peers.get(provider).ok_or(OidcError::Unknown)?;
        let login = self.take(&returned.state).await?;
        if login.provider != provider {
            return Err(refused("the login began with another provider"));
        }
        let binding = binding.ok_or_else(|| refused("the login began in another browser"))?;
        if !bool::from(hash(&[binding.reveal()]).as_bytes().ct_eq(login.binding.as_bytes())) {
            return Err(refused("the login began in another browser"));
        }
        let metadata = peer.metadata().await?;
        let says_so = metadata.authorization_response_iss_parameter_supported;
        match returned.issuer.as_deref() {
            None if !says_so => {}
            Some(issuer) if issuer == peer.settings.issuer => {}
            _ => return Err(refused("the answer is another provider's")),
        }
        if returned.error.is_some() {
            return Err(refused("the provider did not let him in"));
        }
        let code = returned.code.filter(|code| !code.is_empty() && code.len() <= MOST_BYTES);
        let code = code.ok_or_else(|| refused("there is no code"))?;
        let claims = peer.redeem(&code, &binding.verifier(), &binding.nonce()).await?;
        let (user, is_new) = match &login.link {
            Some(to) => (self.link(provider, peer, &claims, to).await?, false),
            None => self.user(provider, peer, &claims).await?,
        };
        if user.disabled {
            return Err(refused("the user may not log in"));
        }
        let is_enough = peer.settings.second_factor.is_satisfied_by(&claims);
        Ok(Finished { user, is_new, is_link: login.link.is_some(), is_enough, return_to: login.return_to })
    }

    /// Takes a login out of the store: nobody else gets it.
    async fn take(&self, state: &str) -> Result<Login, OidcError> {
        let unknown = || refused("the login is unknown, too old, or was gone on with before");
        if state.is_empty() || state.len() > MOST_BYTES {
            return Err(unknown());
        }
        let key = hash(&[state]);
        let found = self.0.logins.get(&key).await?.ok_or_else(unknown)?;
        match self.0.logins.delete(&key, Expect::Version(found.version)).await {
            Ok(true) => Ok(found.value),
            Ok(false) | Err(StoreError::Conflict { .. }) => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }
}
