//! `[outgoing]` of `presswork.toml`: where webhooks, OIDC providers, models and imported files may be. Must not know: how they are called.

use serde::{Deserialize, Deserializer, de};

use crate::security::outgoing::{AllowedHost, OutgoingRules};

/// What the file says of calls that go out. `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutgoingLayer {
    /// Hosts that may be called although they are private, or speak http: `["idp.internal:443"]`.
    #[serde(deserialize_with = "hosts")]
    pub allow: Option<Vec<AllowedHost>>,
    /// The same for what tenants import by its address, whose content they can read: nothing of `allow` holds for that.
    #[serde(deserialize_with = "hosts")]
    pub imports: Option<Vec<AllowedHost>>,
    /// The ports that all others may be called at. Default 443 and 8443.
    pub ports: Option<Vec<u16>>,
}

impl OutgoingLayer {
    /// The rules, with what is said here in place of what was said there.
    pub(super) fn over(self, rules: OutgoingRules) -> OutgoingRules {
        OutgoingRules {
            allow: self.allow.map_or(rules.allow, |allow| allow.into_iter().collect()),
            imports: self.imports.map_or(rules.imports, |imports| imports.into_iter().collect()),
            ports: self.ports.map_or(rules.ports, |ports| ports.into_iter().collect()),
        }
    }
}

fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<AllowedHost>>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let hosts = texts
        .iter()
        .map(|text| text.parse().map_err(|problem| de::Error::custom(format_args!("{text:?}: {problem}"))));
    hosts.collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_and_a_wrong_one_is_named() {
        let read = |text: &str| toml::from_str::<OutgoingLayer>(text);
        let rules =
            read("allow = [\"127.0.0.1:8080\"]\nports = [443]").unwrap().over(OutgoingRules::default());
        assert_eq!(rules.allow.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.1:8080"]);
        assert_eq!(rules.ports, [443].into());
        assert_eq!(read("").unwrap().over(OutgoingRules::default()), OutgoingRules::default());
        assert!(read("allow = [\"*:80\"]").unwrap_err().to_string().contains("*:80"));
    }
}
