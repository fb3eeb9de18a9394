//! Access tokens (RFC 9068): what stands in one, and how it is read. What is not exactly as it is made here is refused before
//! its signature is looked at. Pure.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{ACCESS_LIFE, LEEWAY, TokenError};
use crate::{
    domain::{TenantId, Timestamp},
    security::access::Role,
};

pub(super) const ISSUER: &str = "presswork";
pub(super) const AUDIENCE: &str = "presswork-api";
const TYPE: &str = "at+jwt";
/// Far more than one of ours has.
const MOST_BYTES: usize = 2_048;

/// What a token says. Each claim must be there, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) aud: String,
    /// The user's id.
    pub(super) sub: String,
    /// Whose user.
    pub(super) tenant: TenantId,
    /// What he was when it was made; what he is now is what counts.
    pub(super) role: Role,
    /// The user's generation.
    #[serde(rename = "gen")]
    pub(super) generation: u64,
    /// Of which login it is.
    pub(super) sid: String,
    pub(super) iat: i64,
    pub(super) exp: i64,
    pub(super) jti: String,
}

/// The whole of a header. One that says more (`crit`, `b64`, `jku`, `jwk`, `x5u`, …) wants to be read otherwise.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    typ: String,
    kid: String,
}

pub(super) fn write(kid: &str, key: &EncodingKey, claims: &Claims) -> Result<String, TokenError> {
    let header =
        Header { typ: Some(TYPE.to_owned()), kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, claims, key).map_err(TokenError::broken)
}

/// The id of the key that a token names, where its form is that of ours.
pub(super) fn key_id(token: &str) -> Option<String> {
    if token.len() > MOST_BYTES {
        return None;
    }
    let mut parts = token.split('.');
    let (header, _claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let header: StrictHeader = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let is_kid = header.kid.len() == 16 && header.kid.bytes().all(|digit| digit.is_ascii_hexdigit());
    (header.alg == "EdDSA" && header.typ == TYPE && is_kid).then_some(header.kid)
}

/// What a token says, where its signature holds, it is meant for this service and is in force now.
pub(super) fn read(token: &str, key: &DecodingKey, now: Timestamp) -> Option<Claims> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    // By our clock, below.
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).ok()?.claims;
    let (now, leeway) = (now.as_millis() / 1_000, seconds(LEEWAY));
    let lives = claims.exp.checked_sub(claims.iat)?;
    let in_force = claims.iat <= now.saturating_add(leeway)
        && now < claims.exp.saturating_add(leeway)
        && (1..=seconds(ACCESS_LIFE)).contains(&lives);
    in_force.then_some(claims)
}

pub(super) fn seconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}
