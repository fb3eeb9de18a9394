//! `[oidc.<name>]` of `presswork.toml`: who may vouch for users. Must not know: how they are asked.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};

use super::ConfigError;
use crate::{
    domain::TenantId,
    security::{
        access::Role,
        oidc::{ClientSecret, OidcProvider, SecondFactor},
    },
};

/// What the file says of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcLayer {
    /// [`OidcProvider::issuer`].
    pub issuer: String,
    /// [`OidcProvider::client_id`].
    pub client_id: String,
    /// [`OidcProvider::client_secret`] as a variable of the environment; never the secret itself.
    pub client_secret_env: Option<String>,
    /// [`OidcProvider::client_secret`] as a file.
    pub client_secret_file: Option<PathBuf>,
    /// [`OidcProvider::redirect_uri`].
    pub redirect_uri: String,
    /// [`OidcProvider::tenant`].
    pub tenant: TenantId,
    /// [`OidcProvider::provision`]. Default: no.
    #[serde(default)]
    pub provision: bool,
    /// [`OidcProvider::default_role`]: viewer, producer or operator. Default viewer.
    #[serde(default = "viewer", deserialize_with = "role")]
    pub default_role: Role,
    /// [`OidcProvider::scopes`]. Default `profile`.
    #[serde(default = "profile")]
    pub scopes: Vec<String>,
    /// [`OidcProvider::second_factor`]: `unless-asserted`, `always` or `never`. Default `unless-asserted`.
    #[serde(default)]
    pub second_factor: AskFor,
    /// The values of the claim `acr` that mean several factors, where it is asked unless they are asserted.
    #[serde(default)]
    pub mfa_acr: Vec<String>,
}

/// When a user's own second factor is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskFor {
    /// Unless the provider says that it has asked for several.
    #[default]
    UnlessAsserted,
    /// Always.
    Always,
    /// Never.
    Never,
}

fn viewer() -> Role {
    Role::Viewer
}

fn profile() -> Vec<String> {
    vec!["profile".to_owned()]
}

fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    let role = Role::deserialize(deserializer)?;
    // Somebody else decides who comes: an admin is made by one who is here.
    let is_fine = role < Role::Admin;
    is_fine.then_some(role).ok_or_else(|| de::Error::custom("choose viewer, producer or operator"))
}

impl OidcLayer {
    /// The provider that it means.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`].
    pub(super) fn provider(self, name: &str) -> Result<OidcProvider, ConfigError> {
        let wrong = |setting: &str, problem: &str| {
            Err(ConfigError::wrong(format_args!("oidc.{name}.{setting}"), problem))
        };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 30 || !name.bytes().all(plain) {
            return wrong("", "its name has 1 to 30 of a-z, 0-9 and -");
        }
        if url::Url::parse(&self.issuer).is_err() || self.issuer.contains(['?', '#']) {
            return wrong("issuer", "write the provider's URL exactly as its tokens have it");
        }
        if self.client_id.is_empty() {
            return wrong("client_id", "it is empty");
        }
        let end = format!("/v1/auth/oidc/{name}/callback");
        if url::Url::parse(&self.redirect_uri).is_err() || !self.redirect_uri.ends_with(&end) {
            return wrong("redirect_uri", &format!("write how browsers reach this API, ending in {end}"));
        }
        let client_secret = match (self.client_secret_env, self.client_secret_file) {
            (None, None) => None,
            (Some(name), None) => Some(ClientSecret::Variable(name)),
            (None, Some(path)) => Some(ClientSecret::File(path)),
            (Some(_), Some(_)) => {
                return wrong("client_secret_env", "client_secret_file is set as well: choose one");
            }
        };
        let is_scope =
            |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.scopes.iter().all(is_scope) {
            return wrong("scopes", "a scope is a word");
        }
        Ok(OidcProvider {
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret,
            redirect_uri: self.redirect_uri,
            tenant: self.tenant,
            provision: self.provision,
            default_role: self.default_role,
            scopes: self.scopes,
            second_factor: match self.second_factor {
                AskFor::UnlessAsserted => SecondFactor::UnlessAsserted { acr: self.mfa_acr },
                AskFor::Always => SecondFactor::Always,
                AskFor::Never => SecondFactor::Never,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layer, Settings};

    const FINE: &str = "[oidc.corp]\nissuer = \"https://idp.example\"\nclient_id = \"us\"\ntenant = \"acme\"\n\
        redirect_uri = \"https://books.example/v1/auth/oidc/corp/callback\"\n";

    fn read(text: &str) -> Result<OidcProvider, String> {
        let layer: Layer = toml::from_str(text).map_err(|error| error.to_string())?;
        let settings = Settings::default().under(layer).map_err(|error| error.to_string())?;
        Ok(settings.oidc["corp"].clone())
    }

    #[test]
    fn a_provider_is_read_and_lets_nobody_in_unless_that_is_said() {
        let found = read(FINE).unwrap();
        assert_eq!((found.provision, found.default_role, found.client_secret), (false, Role::Viewer, None));
        let more =
            format!("{FINE}provision = true\ndefault_role = \"producer\"\nclient_secret_env = \"CORP\"");
        let found = read(&more).unwrap();
        assert_eq!((found.provision, found.default_role), (true, Role::Producer));
        assert_eq!(found.client_secret, Some(ClientSecret::Variable("CORP".to_owned())));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            (format!("{FINE}default_role = \"admin\""), "viewer"),
            (format!("{FINE}client_secret = \"hunter2\""), "client_secret"),
            (format!("{FINE}client_secret_env = \"A\"\nclient_secret_file = \"b\""), "choose one"),
            (FINE.replace("corp/callback", "other/callback"), "redirect_uri"),
            (FINE.replace("https://idp.example", "idp"), "issuer"),
            (FINE.replace("oidc.corp", "oidc.\"a/b\""), "name"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
