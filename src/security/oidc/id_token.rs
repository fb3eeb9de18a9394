//! ID tokens: whether a provider has signed one for us, for this login, and when. Pure. The keys are ring's; the claims are held
//! against the clock that is given, not the machine's.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use subtle::ConstantTimeEq as _;

use crate::domain::Timestamp;

/// Tokens of more bytes than this are refused.
const MOST_BYTES: usize = 16 << 10;
/// How far the provider's clock may be from ours, in seconds.
const LEEWAY: i64 = 60;
/// A token that was made longer ago is refused: it was made for this login, just now. In seconds.
const MOST_AGE: i64 = 600;
/// The most keys of a provider that are looked at.
pub(super) const MOST_KEYS: usize = 64;

/// Why a token is refused; for the audit, not for who brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Form,
    Algorithm,
    /// Perhaps the provider has a new key: ask for its keys again.
    UnknownKey,
    Signature,
    Claim(&'static str),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("the ID token is no token"),
            Self::Algorithm => f.write_str("the ID token's algorithm is not taken"),
            Self::UnknownKey => f.write_str("the ID token names a key that the provider does not publish"),
            Self::Signature => f.write_str("the ID token's signature does not fit"),
            Self::Claim(name) => write!(f, "the ID token's claim {name} does not fit"),
        }
    }
}

/// A provider's published keys.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct KeySet {
    pub(super) keys: Vec<Key>,
}

/// One of them, as RFC 7517 writes it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Key {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

/// What a token says that is looked at.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Claims {
    iss: String,
    pub(super) sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    pub(super) preferred_username: Option<String>,
    /// By which methods he has proved who he is (RFC 8176).
    #[serde(default, deserialize_with = "lenient")]
    pub(super) amr: Option<Vec<String>>,
    /// How well, in the provider's own terms.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) acr: Option<String>,
}

/// A claim that asserts something more; one of another form asserts nothing.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(deserializer)?).ok())
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// What a token is held against.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: Timestamp,
}

/// The claims of a token that holds.
pub(super) fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Claims, Flaw> {
    if token.len() > MOST_BYTES {
        return Err(Flaw::Form);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Form)?;
    let (header, payload) = signed.split_once('.').ok_or(Flaw::Form)?;
    let (header, signature): (Header, _) = (json(header)?, bytes(signature)?);
    if header.crit.is_some() {
        return Err(Flaw::Algorithm);
    }
    if !["RS256", "ES256", "EdDSA"].contains(&header.alg.as_str()) {
        return Err(Flaw::Algorithm);
    }
    let fits = |key: &&Key| key.fits(&header.alg) && (header.kid.is_none() || header.kid == key.kid);
    let mut fitting = keys.keys.iter().take(MOST_KEYS).filter(fits);
    let key = fitting.next().ok_or(Flaw::UnknownKey)?;
    // Which of several is meant has to be said.
    if header.kid.is_none() && fitting.next().is_some() {
        return Err(Flaw::UnknownKey);
    }
    if !key.has_signed(&header.alg, signed.as_bytes(), &signature) {
        return Err(Flaw::Signature);
    }
    let claims: Claims = json(payload)?;
    check(&claims, expected)?;
    Ok(claims)
}

fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), Flaw> {
    let now = expected.now.as_millis() / 1_000;
    if claims.iss != expected.issuer {
        return Err(Flaw::Claim("iss"));
    }
    let (is_ours, is_only) = match &claims.aud {
        Audience::One(client) => (client == expected.client, true),
        Audience::Many(all) => (all.iter().any(|client| client == expected.client), all.len() == 1),
    };
    if !is_ours {
        return Err(Flaw::Claim("aud"));
    }
    if claims.azp.as_deref().map_or(!is_only, |party| party != expected.client) {
        return Err(Flaw::Claim("azp"));
    }
    if claims.exp <= now.saturating_sub(LEEWAY) {
        return Err(Flaw::Claim("exp"));
    }
    if claims.iat > now.saturating_add(LEEWAY) || claims.iat < now.saturating_sub(MOST_AGE) {
        return Err(Flaw::Claim("iat"));
    }
    if claims.nbf.is_some_and(|begins| begins > now.saturating_add(LEEWAY)) {
        return Err(Flaw::Claim("nbf"));
    }
    let nonce = claims.nonce.as_deref().unwrap_or_default();
    if expected.nonce.is_empty() || !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(Flaw::Claim("nonce"));
    }
    // OpenID Connect Core, 2: at most 255 ASCII characters.
    if claims.sub.is_empty() || claims.sub.len() > 255 || !claims.sub.is_ascii() {
        return Err(Flaw::Claim("sub"));
    }
    Ok(())
}

impl Key {
    /// Whether it is one for signatures by this algorithm.
    fn fits(&self, algorithm: &str) -> bool {
        let is_kind = match algorithm {
            "RS256" => self.kty == "RSA",
            "ES256" => self.kty == "EC" && self.crv.as_deref() == Some("P-256"),
            _ => self.kty == "OKP" && self.crv.as_deref() == Some("Ed25519"),
        };
        is_kind
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.alg.as_deref().is_none_or(|own| own == algorithm)
    }

    fn has_signed(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let part = |text: &Option<String>| text.as_deref().and_then(|text| bytes(text).ok());
        match (algorithm, part(&self.n), part(&self.e), part(&self.x), part(&self.y)) {
            ("RS256", Some(n), Some(e), ..) => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            ("ES256", _, _, Some(x), Some(y)) => {
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            ("EdDSA", _, _, Some(x), _) => {
                UnparsedPublicKey::new(&ED25519, x).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, Flaw> {
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Flaw::Form)
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, Flaw> {
    serde_json::from_slice(&bytes(text)?).map_err(|_| Flaw::Form)
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
    };
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn encode(bytes: impl AsRef<[u8]>) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    struct Provider(Ed25519KeyPair, EcdsaKeyPair);

    impl Provider {
        fn new() -> Self {
            let random = SystemRandom::new();
            let edwards = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
            let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let ecdsa = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
            Self(
                Ed25519KeyPair::from_pkcs8(edwards.as_ref()).unwrap(),
                EcdsaKeyPair::from_pkcs8(curve, ecdsa.as_ref(), &random).unwrap(),
            )
        }

        fn keys(&self) -> KeySet {
            let point = self.1.public_key().as_ref();
            let keys = json!({ "keys": [
                { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": encode(self.0.public_key()) },
                { "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": encode(&point[1..33]), "y": encode(&point[33..]) },
                { "kty": "OKP", "crv": "Ed25519", "kid": "enc", "use": "enc", "x": encode(self.0.public_key()) },
                { "kty": "oct", "kid": "oct", "k": "c2VjcmV0" },
                { "kty": "new", "kid": "new" },
            ] });
            serde_json::from_value(keys).unwrap()
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
            let signature = if header["alg"] == "ES256" {
                self.1.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec()
            } else {
                self.0.sign(signed.as_bytes()).as_ref().to_vec()
            };
            format!("{signed}.{}", encode(signature))
        }
    }

    fn claims() -> Value {
        json!({ "iss": "https://idp.example", "sub": "jo", "aud": "us", "exp": NOW + 300, "iat": NOW, "nonce": "n" })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    fn read(provider: &Provider, token: &str) -> Result<Claims, Flaw> {
        let now = Timestamp::from_millis(NOW * 1_000);
        let expected = Expected { issuer: "https://idp.example", client: "us", nonce: "n", now };
        verify(token, &provider.keys(), &expected)
    }

    #[test]
    fn a_token_of_each_algorithm_that_the_provider_has_signed_for_this_login_holds() {
        let provider = Provider::new();
        for header in [
            json!({ "alg": "EdDSA", "kid": "ed" }),
            json!({ "alg": "ES256", "kid": "ec" }),
            json!({ "alg": "EdDSA" }),
        ] {
            assert_eq!(read(&provider, &provider.token(&header, &claims())).unwrap().sub, "jo", "{header}");
        }
        let mut several = with("aud", json!(["them", "us"]));
        several["azp"] = json!("us");
        for fine in
            [several, with("aud", json!(["us"])), with("exp", json!(NOW - 59)), with("iat", json!(NOW + 60))]
        {
            assert!(
                read(&provider, &provider.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &fine)).is_ok(),
                "{fine}"
            );
        }
    }

    #[test]
    fn each_claim_is_held_against_what_was_asked_for() {
        let provider = Provider::new();
        for (name, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", json!("https://idp.example/")),
            ("aud", json!("them")),
            ("aud", json!([])),
            ("azp", json!("them")),
            ("exp", json!(NOW - 61)),
            ("iat", json!(NOW + 61)),
            ("iat", json!(NOW - 601)),
            ("nbf", json!(NOW + 61)),
            ("nonce", json!("other")),
            ("nonce", json!("")),
            ("nonce", Value::Null),
            ("sub", json!("")),
            ("sub", json!("x".repeat(256))),
        ] {
            let token = provider.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &with(name, value.clone()));
            assert_eq!(read(&provider, &token).unwrap_err(), Flaw::Claim(name), "{name} {value}");
        }
        let token =
            provider.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &with("aud", json!(["us", "them"])));
        assert_eq!(read(&provider, &token).unwrap_err(), Flaw::Claim("azp"));
        for name in ["iss", "sub", "aud", "exp", "iat"] {
            let token = provider.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &with(name, Value::Null));
            assert_eq!(read(&provider, &token).unwrap_err(), Flaw::Form, "{name}");
        }
    }

    #[test]
    fn tricks_with_the_header_and_changes_of_the_token_are_refused() {
        let provider = Provider::new();
        for (header, flaw) in [
            (json!({ "alg": "none" }), Flaw::Algorithm),
            (json!({ "alg": "None", "kid": "ed" }), Flaw::Algorithm),
            (json!({ "alg": "HS256", "kid": "ed" }), Flaw::Algorithm),
            (json!({ "alg": "HS256", "kid": "oct" }), Flaw::Algorithm),
            (json!({ "alg": "RS256", "kid": "ed" }), Flaw::UnknownKey),
            (json!({ "alg": "EdDSA", "kid": "ec" }), Flaw::UnknownKey),
            (json!({ "alg": "EdDSA", "kid": "enc" }), Flaw::UnknownKey),
            (json!({ "alg": "EdDSA", "kid": "../ed" }), Flaw::UnknownKey),
            (json!({ "alg": "EdDSA", "kid": "ed", "crit": ["exp"] }), Flaw::Algorithm),
            (
                json!({ "alg": "EdDSA", "kid": "ed", "jwk": provider.0.public_key().as_ref().to_vec() }),
                Flaw::Signature,
            ),
        ] {
            let other = Provider::new();
            let signer = if flaw == Flaw::Signature { &other } else { &provider };
            assert_eq!(read(&provider, &signer.token(&header, &claims())).unwrap_err(), flaw, "{header}");
        }
        let token = provider.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        for wrong in [
            "",
            ".",
            "..",
            signed,
            &format!("{signed}."),
            &format!("{token}="),
            &format!("{token}.x"),
            &token[1..],
            &format!("{signed}.{}", encode([0; 64])),
            &format!("{}.{signature}", signed.replace('.', "")),
            &"a".repeat(MOST_BYTES + 1),
        ] {
            assert!(read(&provider, wrong).is_err(), "{wrong}");
        }
    }
}
