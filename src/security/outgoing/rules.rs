//! What of a URL can be told before its name is looked up. Must not know: addresses' networks beyond what it asks, HTTP.

use std::{collections::BTreeSet, fmt, net::IpAddr, str::FromStr};

use url::{Host, Url};

use super::{OutgoingError, address::is_public};

/// The ports of hosts that nobody has allowed by name.
pub const PORTS: [u16; 2] = [443, 8443];
/// URLs of more bytes than this are refused.
const MOST_BYTES: usize = 2_048;

/// A host and port that may be called whatever its address is, with https or http.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AllowedHost {
    host: String,
    port: u16,
}

/// The text is no host and port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host and a port: write `idp.internal:443`, `127.0.0.1:8080` or `[::1]:8080`")]
pub struct AllowedHostError;

impl FromStr for AllowedHost {
    type Err = AllowedHostError;

    fn from_str(text: &str) -> Result<Self, AllowedHostError> {
        let (host, port) = text.rsplit_once(':').ok_or(AllowedHostError)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(AllowedHostError)?;
        if host.is_empty() || host.contains(['*', '/', '@', '?', '#']) {
            return Err(AllowedHostError);
        }
        let host = Host::parse(host).map_err(|_| AllowedHostError)?.to_string();
        Ok(Self { host, port })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRules {
    /// Exactly these may be called although they are private, or speak http, or have another port.
    pub allow: BTreeSet<AllowedHost>,
    /// The same for what tenants import: its content is theirs to read, so that the rest does not hold for it.
    pub imports: BTreeSet<AllowedHost>,
    /// The ports that all others may be called at. Default [`PORTS`].
    pub ports: BTreeSet<u16>,
}

impl Default for OutgoingRules {
    fn default() -> Self {
        Self { allow: BTreeSet::new(), imports: BTreeSet::new(), ports: PORTS.into() }
    }
}

/// A URL whose form is fine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) url: Url,
    /// Whether its host was allowed by name: then its address is not looked at.
    pub(super) is_allowed: bool,
}

impl OutgoingRules {
    /// Whether a URL has a form that may be called: all that can be told without asking for its name.
    ///
    /// # Errors
    /// [`OutgoingError::Refused`].
    pub(super) fn check(&self, text: &str) -> Result<Target, OutgoingError> {
        let refused = |why: &'static str| Err(OutgoingError::Refused(why));
        if text.len() > MOST_BYTES {
            return refused("it is longer than 2,048 bytes");
        }
        // What one reader of URLs skips and another one does not.
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return refused("it holds a space, a control character or a backslash");
        }
        let Ok(url) = Url::parse(text) else { return refused("it is no URL") };
        if !["https", "http"].contains(&url.scheme()) {
            return refused("its scheme is not https");
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return refused("it holds a user's name or password");
        }
        // The crate has read decimal, octal, hexadecimal and short forms as what they mean.
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return refused("it names no host");
        };
        let named = AllowedHost { host: host.to_string(), port };
        if self.allow.contains(&named) {
            return Ok(Target { url, is_allowed: true });
        }
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        if address.is_some_and(|address| !is_public(address)) {
            return refused("its address is not of the public internet");
        }
        if url.scheme() != "https" {
            return refused("its scheme is not https");
        }
        if !self.ports.contains(&port) {
            return refused("its port is not one that may be called");
        }
        Ok(Target { url, is_allowed: false })
    }
}

/// What stands between the slashes, as it was written.
fn authority(text: &str) -> &str {
    let behind = text.split_once(':').map_or("", |(_, rest)| rest.trim_start_matches('/'));
    behind.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str]) -> OutgoingRules {
        OutgoingRules {
            allow: allow.iter().map(|host| host.parse().unwrap()).collect(),
            ..OutgoingRules::default()
        }
    }

    #[test]
    fn an_allowed_host_is_allowed_at_its_port_only_in_whatever_way_it_is_written() {
        let rules = rules(&["127.0.0.1:8080", "[::1]:443", "IDP.Internal:443"]);
        for (url, is_allowed) in [
            ("http://127.0.0.1:8080/x", true),
            ("https://127.0.0.1:8080", true),
            ("http://0x7f.1:8080", true),
            ("https://[0:0::1]/", true),
            ("https://idp.internal/", true),
            ("https://example.org:8443/", false),
            ("https://1.1.1.1/", false),
        ] {
            assert_eq!(rules.check(url).unwrap().is_allowed, is_allowed, "{url}");
        }
        for url in
            ["http://127.0.0.1:8081/", "http://127.0.0.1/", "http://idp.internal:80/", "https://[::1]:8443"]
        {
            assert!(matches!(rules.check(url), Err(OutgoingError::Refused(_))), "{url}");
        }
    }

    #[test]
    fn what_is_allowed_names_one_host_and_port() {
        for wrong in
            ["", "host", "*:80", "*.internal:443", "host:0", "host:70000", ":80", "http://host:80", "a b:80"]
        {
            assert_eq!(wrong.parse::<AllowedHost>(), Err(AllowedHostError), "{wrong}");
        }
        assert_eq!("[0:0::1]:80".parse::<AllowedHost>().unwrap().to_string(), "[::1]:80");
    }
}
