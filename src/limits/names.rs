//! What a limit is of: who uses what. Owns: [`Scope`], [`Resource`], [`Bucket`] and their texts. Must not know: any engine.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest as _, Sha256};

use crate::domain::TenantId;

/// Who uses something. All buckets of a scope live together, on one node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A tenant.
    Tenant(TenantId),
    /// A session, named by a text that may be secret: only its hash is kept.
    Session(String),
    /// Whoever calls from an address.
    Address(IpAddr),
    /// Anything else that a text names.
    Other(String),
}

impl Scope {
    /// The scope as part of a key: a tenant's name, or a kind and a hash, which no tenant is named.
    pub fn tag(&self) -> String {
        match self {
            Self::Tenant(tenant) => tenant.as_str().to_owned(),
            Self::Session(session) => hashed("session", session.as_bytes()),
            Self::Address(address) => hashed("address", &network(*address)),
            Self::Other(name) => hashed("other", name.as_bytes()),
        }
    }

    /// As buckets are told apart, also where they are kept in memory: an address is its subscriber's, and a text that
    /// somebody has made long takes no more room than others.
    fn bounded(self) -> Self {
        match self {
            Self::Address(address) => Self::Address(subscriber(address)),
            Self::Session(name) if name.len() > MOST_TEXT => {
                Self::Session(hashed("session", name.as_bytes()))
            }
            Self::Other(name) if name.len() > MOST_TEXT => Self::Other(hashed("other", name.as_bytes())),
            scope => scope,
        }
    }
}

/// Longer texts are kept as their hash.
const MOST_TEXT: usize = 128;

impl From<&TenantId> for Scope {
    fn from(tenant: &TenantId) -> Self {
        Self::Tenant(tenant.clone())
    }
}

fn hashed(kind: &str, bytes: &[u8]) -> String {
    use fmt::Write as _;
    let digest = Sha256::digest(bytes);
    digest[..16].iter().fold(format!("{kind}~"), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The address that stands for a caller: of IPv6 its first 64 bits, for one subscriber has all addresses of such a network.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// The bytes of it.
fn network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

/// What is used: 1 to 100 of `a-z A-Z 0-9 - _ . : / @`. For example `generation` or `model:openai/key-1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Resource(Cow<'static, str>);

/// The text names no resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a resource is named by 1 to 100 of a-z A-Z 0-9 - _ . : / @")]
pub struct ResourceError;

impl Resource {
    /// A resource named in the program.
    ///
    /// # Panics
    /// At compile time, used in a constant, where the text names none.
    pub const fn literal(name: &'static str) -> Self {
        assert!(is_name(name), "not a resource");
        Self(Cow::Borrowed(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        if !matches!(bytes[place], b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' | b'/' | b'@')
        {
            return false;
        }
        place += 1;
    }
    !bytes.is_empty() && bytes.len() <= 100
}

impl FromStr for Resource {
    type Err = ResourceError;

    fn from_str(text: &str) -> Result<Self, ResourceError> {
        if is_name(text) { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(ResourceError) }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A bucket: somebody's share of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Whose.
    pub scope: Scope,
    /// Of what.
    pub resource: Resource,
}

impl Bucket {
    /// The bucket of this scope and resource.
    pub fn new(scope: impl Into<Scope>, resource: &Resource) -> Self {
        Self { scope: scope.into().bounded(), resource: resource.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_scopes_share_a_tag_and_a_session_is_not_read_from_it() {
        let tenant: TenantId = "session".parse().unwrap();
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let scopes = [
            Scope::Tenant(tenant),
            Scope::Session("secret".into()),
            Scope::Session("other".into()),
            Scope::Other("secret".into()),
            Scope::Address(address),
        ];
        let tags: std::collections::BTreeSet<String> = scopes.iter().map(Scope::tag).collect();
        assert_eq!(tags.len(), scopes.len(), "{tags:?}");
        assert!(tags.iter().all(|tag| !tag.contains("secret") && !tag.contains(['{', '}', ':'])), "{tags:?}");
    }

    #[test]
    fn addresses_of_one_subscriber_are_one() {
        let tag = |address: &str| Scope::Address(address.parse().unwrap()).tag();
        assert_eq!(tag("2001:db8::1"), tag("2001:db8::ffff:2"));
        assert_ne!(tag("2001:db8::1"), tag("2001:db8:0:1::1"));
        assert_eq!(tag("::ffff:10.0.0.1"), tag("10.0.0.1"));
        assert_ne!(tag("10.0.0.1"), tag("10.0.0.2"));
    }

    #[test]
    fn a_resource_is_a_plain_name() {
        for good in ["generation", "model:openai/key-1", "a", &"x".repeat(100)] {
            assert_eq!(good.parse::<Resource>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a\n", "{a}", "é", "a*", &"x".repeat(101)] {
            assert!(bad.parse::<Resource>().is_err(), "{bad:?}");
        }
    }
}
