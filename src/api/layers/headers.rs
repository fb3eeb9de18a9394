//! Headers that browsers heed. Owns: what stands in every answer unless its handler says otherwise.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// An answer is data: no browser is to run, frame, sniff, store or share it.
const ALWAYS: [(HeaderName, HeaderValue); 11] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Old browsers' own filters did harm.
    (header::X_XSS_PROTECTION, HeaderValue::from_static("0")),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=(), fullscreen=(self)",
        ),
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-embedder-policy"), HeaderValue::from_static("require-corp")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Two years, for the name and all below it.
const SECURE: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Puts them into an answer; what its handler has set stays. `is_secure` where the caller speaks TLS: elsewhere browsers must
/// not be told to.
pub(in crate::api) fn protect(headers: &mut HeaderMap, is_secure: bool) {
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(value);
    }
    headers.remove(header::SERVER);
    if is_secure {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(SECURE);
    }
}
