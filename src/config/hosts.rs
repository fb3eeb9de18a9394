//! Names under which the API may be called. Owns: the form of a host, as in a `Host` header, and of a pattern for it.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// A host as a request names it: lower case, without a dot at its end, with its port where it names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// A name or an IP address, one of version 6 without its brackets.
    pub name: String,
    /// The port, where one is named.
    pub port: Option<u16>,
}

/// The text is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a host: write a name such as api.books.io or *.books.io, or an address, with :port where only that one is meant"
)]
pub struct HostError;

const MOST_CHARACTERS: usize = 253;

impl HostName {
    /// Its address, where it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }

    /// Whether it names this machine to whoever runs on it.
    pub fn is_loopback(&self) -> bool {
        self.name == "localhost"
            || self.name.ends_with(".localhost")
            || self.address().is_some_and(|address| address.is_loopback())
    }
}

impl FromStr for HostName {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, rest) = rest.split_once(']').ok_or(HostError)?;
                name.parse::<std::net::Ipv6Addr>().map_err(|_| HostError)?;
                (name, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(HostError)?) })
            }
            None => match text.split_once(':') {
                Some((name, port)) => (plain(name)?, Some(port)),
                None => (plain(text)?, None),
            },
        };
        let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty();
        let port = match port {
            Some(port) if digits(port) => Some(port.parse().map_err(|_| HostError)?),
            Some(_) => return Err(HostError),
            None => None,
        };
        Ok(Self { name: name.to_ascii_lowercase(), port })
    }
}

fn plain(name: &str) -> Result<&str, HostError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let good = |label: &str| {
        let bytes = label.as_bytes();
        (1..=63).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() <= MOST_CHARACTERS && name.split('.').all(good) { Ok(name) } else { Err(HostError) }
}

/// Hosts that are meant: one name, or with `*.` in front all below it; any port unless one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    host: HostName,
    below: bool,
}

impl HostPattern {
    /// Whether it means this host.
    pub fn allows(&self, host: &HostName) -> bool {
        let named = if self.below {
            host.name.strip_suffix(&self.host.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host.name == self.host.name
        };
        named && self.host.port.is_none_or(|port| host.port == Some(port))
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let (below, host) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let host: HostName = host.parse()?;
        // `*.io` would mean everybody's.
        if below && (host.address().is_some() || !host.name.contains('.')) {
            return Err(HostError);
        }
        Ok(Self { host, below })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.below { "*." } else { "" };
        let name = &self.host.name;
        if name.contains(':') {
            write!(f, "[{name}]")?
        } else {
            write!(f, "{star}{name}")?
        }
        self.host.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_its_name_or_all_below_it_and_nothing_else() {
        for (pattern, host, allowed) in [
            ("api.books.io", "api.books.io", true),
            ("api.books.io", "API.Books.IO.", true),
            ("api.books.io", "api.books.io:8443", true),
            ("api.books.io:443", "api.books.io:8443", false),
            ("api.books.io:443", "api.books.io", false),
            ("api.books.io", "x.api.books.io", false),
            ("*.books.io", "a.b.books.io", true),
            ("*.books.io", "books.io", false),
            ("*.books.io", "evilbooks.io", false),
            ("*.books.io", "books.io.evil.net", false),
            ("[::1]:80", "[::1]:80", true),
            ("10.0.0.1", "10.0.0.1:8080", true),
        ] {
            let pattern: HostPattern = pattern.parse().unwrap();
            assert_eq!(pattern.allows(&host.parse().unwrap()), allowed, "{pattern} {host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "",
            "*",
            "a b",
            "user@host",
            "host:",
            "host:x",
            "host:+8",
            "host:70000",
            "[::1",
            "::1",
            "a/b",
            "a..b",
            "[x]",
            "a\u{e9}",
        ] {
            assert_eq!(bad.parse::<HostName>(), Err(HostError), "{bad}");
        }
        for bad in ["*.io", "*", "*.*.io", "*.10.0.0.1"] {
            assert_eq!(bad.parse::<HostPattern>(), Err(HostError), "{bad}");
        }
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for (host, is) in [
            ("localhost", true),
            ("a.localhost:80", true),
            ("127.1.2.3", true),
            ("[::1]:9", true),
            ("localhost.evil.net", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(host.parse::<HostName>().unwrap().is_loopback(), is, "{host}");
        }
    }
}
