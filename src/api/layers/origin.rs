//! Where a request comes from: the caller's address and the request's id. Owns: whose word is taken for the address. Must not
//! know: what is done with it.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method};

use super::only;
use crate::{
    config::{ApiSettings, ProxyHeader},
    domain::Random,
};

/// How a request came here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// The caller's address.
    pub(super) address: Option<IpAddr>,
    /// Whether a proxy that is trusted says that the caller spoke TLS to it.
    pub(super) is_secure: bool,
}

/// How a request came here: from its peer; where that is a trusted proxy, from the nearest hop that is none.
pub(super) fn way(settings: &ApiSettings, peer: Option<IpAddr>, headers: &HeaderMap) -> Way {
    let Some(peer) = peer.map(|peer| peer.to_canonical()) else { return Way::default() };
    let is_trusted =
        |address: IpAddr| settings.trusted_proxies.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return Way { address: Some(peer), is_secure: false };
    }
    let (hops, proto) = match settings.proxy_header {
        ProxyHeader::XForwardedFor => (
            elements(headers, "x-forwarded-for").into_iter().map(address).collect::<Vec<_>>(),
            elements(headers, "x-forwarded-proto").pop().map(str::to_owned),
        ),
        ProxyHeader::Forwarded => {
            let all = elements(headers, "forwarded");
            let hops = all.iter().map(|element| parameter(element, "for").and_then(address)).collect();
            let proto = all.last().and_then(|element| parameter(element, "proto"));
            (hops, proto.map(str::to_owned))
        }
    };
    let mut nearest = peer;
    for hop in hops.into_iter().rev() {
        // What is no address hides who is behind it: whoever wrote it stands for all of them.
        let Some(hop) = hop else { break };
        nearest = hop;
        if !is_trusted(hop) {
            break;
        }
    }
    let is_secure = proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
    Way { address: Some(nearest), is_secure }
}

/// How many hops are looked at: there are never so many.
const MOST_HOPS: usize = 32;

/// The elements of a list, in order, over all its lines; the last ones where there are many.
fn elements<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let mut all = Vec::new();
    for line in headers.get_all(name) {
        // A line that is no text is an element that says nothing.
        match line.to_str() {
            Ok(text) => all.extend(text.split(',').map(str::trim)),
            Err(_) => all.push(""),
        }
    }
    let surplus = all.len().saturating_sub(MOST_HOPS);
    all.split_off(surplus)
}

/// A parameter of an element of `Forwarded`.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut values =
        pairs.filter(|(known, _)| known.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let value = values.next()?.trim();
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if text.matches(':').count() == 1 => text.split_once(':')?.0,
        None => text,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

const MOST_ID_CHARACTERS: usize = 128;

/// The request's id: the caller's, where it is one, or a new one.
pub(super) fn request_id(headers: &HeaderMap, random: &dyn Random) -> String {
    let is_id = |id: &&str| {
        (1..=MOST_ID_CHARACTERS).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    if let Some(id) = only(headers, "x-request-id").filter(is_id) {
        return id.to_owned();
    }
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    format!("req_{:032x}", u128::from_be_bytes(bytes))
}

/// A method's name for the log: what is none of HTTP's is a caller's own text.
pub(super) fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(header: ProxyHeader, peer: &str, lines: &[(&'static str, &str)]) -> (String, bool) {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let settings = ApiSettings { trusted_proxies, proxy_header: header, ..ApiSettings::default() };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let way = way(&settings, Some(peer.parse().unwrap()), &headers);
        (way.address.unwrap().to_string(), way.is_secure)
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_to_the_nearest_hop_that_is_none() {
        let x =
            |peer: &str, value: &str| from(ProxyHeader::XForwardedFor, peer, &[("x-forwarded-for", value)]).0;
        assert_eq!(x("192.0.2.9", "203.0.113.1"), "192.0.2.9");
        assert_eq!(x("10.0.0.1", "203.0.113.1"), "203.0.113.1");
        assert_eq!(x("::ffff:10.0.0.1", "203.0.113.1"), "203.0.113.1");
        assert_eq!(x("10.0.0.1", "1.1.1.1, 203.0.113.1, 10.2.3.4"), "203.0.113.1");
        assert_eq!(x("10.0.0.1", "203.0.113.1:4711"), "203.0.113.1");
        assert_eq!(x("10.0.0.1", "[2001:db9::1]:4711"), "2001:db9::1");
        assert_eq!(x("10.0.0.1", "1.1.1.1, unknown, 10.2.3.4"), "10.2.3.4");
        assert_eq!(x("10.0.0.1", "garbage"), "10.0.0.1");
        assert_eq!(x("10.0.0.1", "10.9.9.9, 10.2.3.4"), "10.9.9.9");
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "203.0.113.7"),
            ("forwarded", "for=6.6.6.6"),
        ];
        assert_eq!(from(ProxyHeader::XForwardedFor, "10.0.0.1", &lines).0, "203.0.113.7");
    }

    #[test]
    fn the_standard_header_is_read_where_the_proxies_write_it() {
        let read = |value: &str| {
            from(ProxyHeader::Forwarded, "10.0.0.1", &[("forwarded", value), ("x-forwarded-for", "6.6.6.6")])
        };
        assert_eq!(read("for=203.0.113.1;proto=https;by=10.0.0.1"), ("203.0.113.1".to_owned(), true));
        assert_eq!(read("For=\"[2001:db9::17]:4711\""), ("2001:db9::17".to_owned(), false));
        assert_eq!(read("for=1.1.1.1, for=203.0.113.1, for=10.7.7.7").0, "203.0.113.1");
        assert_eq!(read("for=_hidden").0, "10.0.0.1");
    }

    #[test]
    fn an_id_is_taken_where_it_is_harmless() {
        let random = crate::domain::SystemRandom;
        let id = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", value.parse().unwrap());
            request_id(&headers, &random)
        };
        assert_eq!(id("a-B_c.1"), "a-B_c.1");
        for bad in ["", "a b", "a\"b", &"x".repeat(129)] {
            assert!(id(bad).starts_with("req_"), "{bad}");
        }
    }
}
