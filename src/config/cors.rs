//! Web pages that may call the API from a browser. Owns: the form of an origin.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

use super::HostName;

/// The origin of a web page that may call the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigin {
    /// `*`: any page, and none of them with cookies. For development.
    Any,
    /// Pages of this scheme, host and port, also with cookies.
    Exact(String),
}

/// The text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an origin: write https://app.books.io, with a port where it is not the usual one and without a path"
)]
pub struct CorsOriginError;

impl CorsOrigin {
    /// Whether pages of it come over an open line from elsewhere.
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Exact(text) => text
                .strip_prefix("http://")
                .is_some_and(|host| !host.parse::<HostName>().is_ok_and(|host| host.is_loopback())),
        }
    }
}

impl FromStr for CorsOrigin {
    type Err = CorsOriginError;

    fn from_str(text: &str) -> Result<Self, CorsOriginError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, host) = text.split_once("://").ok_or(CorsOriginError)?;
        let usual = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return Err(CorsOriginError),
        };
        let host: HostName = host.parse().map_err(|_| CorsOriginError)?;
        let name = if host.name.contains(':') { format!("[{}]", host.name) } else { host.name };
        // Browsers leave the usual port away.
        let port =
            host.port.filter(|port| *port != usual).map_or_else(String::new, |port| format!(":{port}"));
        Ok(Self::Exact(format!("{scheme}://{name}{port}")))
    }
}

impl fmt::Display for CorsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Exact(text) => text,
        })
    }
}

impl<'de> Deserialize<'de> for CorsOrigin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_as_browsers_send_it() {
        for (text, kept) in [
            ("https://App.Books.io", "https://app.books.io"),
            ("https://app.books.io:443", "https://app.books.io"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("*", "*"),
        ] {
            assert_eq!(text.parse::<CorsOrigin>().unwrap().to_string(), kept);
        }
        for bad in [
            "null",
            "",
            "app.books.io",
            "https://",
            "https://a/b",
            "https://*.books.io",
            "ftp://a",
            "https://u@a",
        ] {
            assert_eq!(bad.parse::<CorsOrigin>(), Err(CorsOriginError), "{bad}");
        }
    }

    #[test]
    fn an_open_line_is_seen() {
        let plain = |text: &str| text.parse::<CorsOrigin>().unwrap().is_plain();
        assert!(
            plain("http://app.books.io") && !plain("https://app.books.io") && !plain("http://localhost:3000")
        );
    }
}
