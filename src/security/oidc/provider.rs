//! A provider of identities: its settings, what it says of itself, its keys. Must not know: browsers, users.

use std::{path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{
    Method,
    header::{self, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    OidcError,
    id_token::{self, Claims, Expected, Flaw, KeySet},
};
use crate::{
    domain::{Clock, TenantId},
    security::{
        access::Role,
        outgoing::{Outgoing, OutgoingAnswer},
    },
};

/// How long what a provider says of itself, and its keys, are taken for true.
const FRESH: Duration = Duration::from_secs(3_600);
/// How soon its keys are asked for again because a token names one that is not there.
const ASKED_AGAIN: Duration = Duration::from_secs(30);
/// The most bytes of each of its answers.
const MOST_BYTES: usize = 256 << 10;

/// Where a client's secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientSecret {
    /// In a variable of the environment.
    Variable(String),
    /// In a file.
    File(PathBuf),
}

/// A provider, as it is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcProvider {
    /// Its address, exactly as its tokens have it.
    pub issuer: String,
    /// What we are called there.
    pub client_id: String,
    /// By what we prove that; nothing where PKCE is all that the provider asks for.
    pub client_secret: Option<ClientSecret>,
    /// Where it sends browsers back to: this API's `/v1/auth/oidc/{provider}/callback` as they reach it.
    pub redirect_uri: String,
    /// Whose users it speaks for.
    pub tenant: TenantId,
    /// Whether somebody whom nobody knows here yet becomes a user.
    pub provision: bool,
    /// What such a user may do.
    pub default_role: Role,
    /// What is asked of it, beside `openid`.
    pub scopes: Vec<String>,
    /// Whether a user with a second factor here is asked for it, too.
    pub second_factor: SecondFactor,
}

/// When a user who has a second factor here is asked for its code after a login by a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// Unless the provider says that it has asked for several: by `mfa` in the claim `amr` (RFC 8176), or by one of these values
    /// of the claim `acr`, whose meaning is the provider's own.
    UnlessAsserted {
        /// The values of `acr` that mean several factors.
        acr: Vec<String>,
    },
    /// Always.
    Always,
    /// Never: the provider's word is enough.
    Never,
}

impl Default for SecondFactor {
    fn default() -> Self {
        Self::UnlessAsserted { acr: Vec::new() }
    }
}

impl SecondFactor {
    /// Whether the provider's word of this login is enough.
    pub(super) fn is_satisfied_by(&self, claims: &Claims) -> bool {
        match self {
            Self::Always => false,
            Self::Never => true,
            Self::UnlessAsserted { acr } => {
                let methods = claims.amr.as_deref().unwrap_or_default();
                methods.iter().any(|method| method == "mfa")
                    || claims.acr.as_ref().is_some_and(|class| acr.contains(class))
            }
        }
    }
}

/// What a provider says of itself, as far as it is looked at.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

/// What was fetched, and when in time passed.
type Fetched<T> = Mutex<Option<(Duration, Arc<T>)>>;

/// A provider that is spoken to.
pub(super) struct Peer {
    pub(super) settings: OidcProvider,
    outgoing: Outgoing,
    clock: Arc<dyn Clock>,
    metadata: Fetched<Metadata>,
    keys: Fetched<KeySet>,
}

impl Peer {
    pub(super) fn new(settings: OidcProvider, outgoing: Outgoing, clock: Arc<dyn Clock>) -> Self {
        Self { settings, outgoing, clock, metadata: Mutex::default(), keys: Mutex::default() }
    }

    /// What it says of itself; who asks while another one is asking waits for that answer.
    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, OidcError> {
        let mut kept = self.metadata.lock().await;
        let passed = self.clock.elapsed();
        if let Some((at, metadata)) = &*kept
            && passed.saturating_sub(*at) < FRESH
        {
            return Ok(metadata.clone());
        }
        let url = format!("{}/.well-known/openid-configuration", self.settings.issuer.trim_end_matches('/'));
        let metadata: Metadata = self.get(&url).await?;
        if metadata.issuer != self.settings.issuer {
            return Err(OidcError::Provider("it calls itself by another issuer than the settings do"));
        }
        self.outgoing.check(&metadata.authorization_endpoint)?;
        let metadata = Arc::new(metadata);
        *kept = Some((passed, metadata.clone()));
        Ok(metadata)
    }

    /// Its keys, no older than `fresh`.
    async fn keys(&self, fresh: Duration) -> Result<Arc<KeySet>, OidcError> {
        let metadata = self.metadata().await?;
        let mut kept = self.keys.lock().await;
        let passed = self.clock.elapsed();
        if let Some((at, keys)) = &*kept
            && passed.saturating_sub(*at) < fresh
        {
            return Ok(keys.clone());
        }
        let keys: Arc<KeySet> = Arc::new(self.get(&metadata.jwks_uri).await?);
        *kept = Some((passed, keys.clone()));
        Ok(keys)
    }

    /// The claims of the ID token that the provider gives for a code, once they hold.
    pub(super) async fn redeem(&self, code: &str, verifier: &str, nonce: &str) -> Result<Claims, OidcError> {
        let token = self.token(code, verifier).await?;
        let now = self.clock.now();
        let (issuer, client) = (self.settings.issuer.as_str(), self.settings.client_id.as_str());
        let expected = Expected { issuer, client, nonce, now };
        let mut verified = id_token::verify(&token, &*self.keys(FRESH).await?, &expected);
        // It may have changed its keys.
        if matches!(verified, Err(Flaw::UnknownKey)) {
            verified = id_token::verify(&token, &*self.keys(ASKED_AGAIN).await?, &expected);
        }
        verified.map_err(|flaw| OidcError::Refused(flaw.to_string()))
    }

    async fn token(&self, code: &str, verifier: &str) -> Result<String, OidcError> {
        let metadata = self.metadata().await?;
        let secret = self.secret().await?;
        let (form, authorization) = self.form(&metadata, secret.as_ref(), code, verifier)?;
        let mut request = self.outgoing.request(Method::POST, &metadata.token_endpoint)?;
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let json_type = HeaderValue::from_static("application/json");
        let request = request.header(header::CONTENT_TYPE, form_type).header(header::ACCEPT, json_type);
        let answer = request.body(form).at_most(MOST_BYTES).send().await?;
        if answer.status.is_server_error() {
            return Err(OidcError::Provider("its token endpoint fails"));
        }
        if !answer.status.is_success() {
            return Err(OidcError::Refused("the provider does not take the code".to_owned()));
        }
        read::<TokenAnswer>(&answer).map(|answer| answer.id_token)
    }

    /// What is sent for a code, and the header by which the client proves who it is, where it does so by one.
    fn form(
        &self,
        metadata: &Metadata,
        secret: Option<&SecretString>,
        code: &str,
        verifier: &str,
    ) -> Result<(String, Option<HeaderValue>), OidcError> {
        let (settings, mut form) = (&self.settings, form_urlencoded::Serializer::new(String::new()));
        form.append_pair("grant_type", "authorization_code").append_pair("code", code);
        form.append_pair("redirect_uri", &settings.redirect_uri).append_pair("code_verifier", verifier);
        let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
        let takes_basic = methods.is_none_or(|all| all.iter().any(|one| one == "client_secret_basic"));
        let Some(secret) = secret else {
            form.append_pair("client_id", &settings.client_id);
            return Ok((form.finish(), None));
        };
        if !takes_basic {
            form.append_pair("client_id", &settings.client_id);
            form.append_pair("client_secret", secret.expose_secret());
            return Ok((form.finish(), None));
        }
        // RFC 6749, 2.3.1: both are encoded as in a form before they are joined.
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let secret = Zeroizing::new(encoded(secret.expose_secret()));
        let pair = Zeroizing::new(format!("{}:{}", encoded(&settings.client_id), *secret));
        let value = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
        let value = HeaderValue::try_from(value.as_str());
        let mut value = value.map_err(|_| OidcError::Provider("its client's secret fits no header"))?;
        value.set_sensitive(true);
        Ok((form.finish(), Some(value)))
    }

    async fn secret(&self) -> Result<Option<SecretString>, OidcError> {
        let Some(place) = self.settings.client_secret.clone() else { return Ok(None) };
        let read = tokio::task::spawn_blocking(move || match place {
            ClientSecret::Variable(name) => std::env::var(name).ok(),
            ClientSecret::File(path) => std::fs::read_to_string(path).ok(),
        });
        let text = Zeroizing::new(read.await.ok().flatten().unwrap_or_default());
        if text.trim().is_empty() {
            return Err(OidcError::Provider("its client's secret is not where the settings say"));
        }
        Ok(Some(text.trim().to_owned().into()))
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, OidcError> {
        let answer = self.outgoing.request(Method::GET, url)?.at_most(MOST_BYTES).send().await?;
        if !answer.status.is_success() {
            return Err(OidcError::Provider("it does not tell of itself"));
        }
        read(&answer)
    }
}

fn read<T: DeserializeOwned>(answer: &OutgoingAnswer) -> Result<T, OidcError> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| OidcError::Provider("its answer is not what it should be"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_what_the_provider_says_in_so_many_words_stands_for_a_second_factor() {
        let claims = |amr: Value, acr: Value| {
            let claims = json!({
                "iss": "https://idp.example", "sub": "jo", "aud": "us", "exp": 2, "iat": 1, "amr": amr, "acr": acr,
            });
            serde_json::from_value::<Claims>(claims).unwrap()
        };
        let named = SecondFactor::UnlessAsserted { acr: vec!["phr".to_owned()] };
        for (amr, acr, usual, by_acr) in [
            (json!(["pwd", "mfa"]), Value::Null, true, true),
            (json!(["pwd", "otp"]), Value::Null, false, false),
            (json!(["pwd"]), json!("phr"), false, true),
            (json!([]), json!("phrh"), false, false),
            // Of another form than the standard's: it says nothing, and the login goes on.
            (json!("mfa"), json!(["phr"]), false, false),
            (json!([1, "mfa"]), json!(2), false, false),
            (Value::Null, Value::Null, false, false),
        ] {
            let claims = claims(amr.clone(), acr.clone());
            assert_eq!(SecondFactor::default().is_satisfied_by(&claims), usual, "{amr} {acr}");
            assert_eq!(named.is_satisfied_by(&claims), by_acr, "{amr} {acr}");
            assert!(
                SecondFactor::Never.is_satisfied_by(&claims)
                    && !SecondFactor::Always.is_satisfied_by(&claims)
            );
        }
    }
}
