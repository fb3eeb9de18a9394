//! Files as answers: conditions and ranges by RFC 9110, a name to save them by, and headers that keep a browser from running
//! what it is given. Must not know: any resource, any storage.

use std::ops::Range;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa::ToSchema;

use super::problem::{Problem, ProblemType};
use crate::{artifact::ByteRange, domain::FileName};

/// Any bytes, for the OpenAPI document.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(super) struct Binary(());

/// What is sent of a file.
#[derive(Clone, Debug)]
pub(super) struct Content<'a> {
    /// By what its owner knows it.
    pub(super) name: &'a FileName,
    /// The media type of the bytes, once they are decoded.
    pub(super) content_type: &'a str,
    /// How they are compressed, where they are sent so.
    pub(super) encoding: Option<&'static str>,
    /// How many there are, as they are sent.
    pub(super) bytes: u64,
    /// A strong validator of them, with its quotes.
    pub(super) etag: String,
}

/// What a condition in a request says of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Go on.
    Holds,
    /// The caller has it already.
    Known,
    /// It is not as the caller takes for granted.
    Fails,
}

impl Condition {
    /// Of a request to what has this validator; `None` where nothing is there (RFC 9110, section 13.2.2).
    pub(super) fn of(headers: &HeaderMap, etag: Option<&str>, is_read: bool) -> Self {
        if headers.contains_key(header::IF_MATCH) && !names(headers, &header::IF_MATCH, etag, true) {
            return Self::Fails;
        }
        if headers.contains_key(header::IF_NONE_MATCH) && names(headers, &header::IF_NONE_MATCH, etag, false)
        {
            return if is_read { Self::Known } else { Self::Fails };
        }
        Self::Holds
    }

    /// The problem of one that fails.
    pub(super) fn problem() -> Problem {
        Problem::new(
            ProblemType::PreconditionFailed,
            "what is there is not what `If-Match` or `If-None-Match` says: look at it again",
        )
    }
}

/// Whether one of the validators in a header is this one. A weak one is none where the comparison is strong.
fn names(headers: &HeaderMap, name: &HeaderName, etag: Option<&str>, strong: bool) -> bool {
    let Some(etag) = etag else { return false };
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    for value in values {
        let mut rest = value.trim();
        if rest == "*" {
            return true;
        }
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let (is_weak, quoted) = match rest.strip_prefix("W/") {
                Some(quoted) => (true, quoted),
                None => (false, rest),
            };
            let Some(end) = quoted.strip_prefix('"').and_then(|inner| inner.find('"')) else { break };
            let (tag, behind) = quoted.split_at(end + 2);
            if tag == etag && !(strong && is_weak) {
                return true;
            }
            rest = behind;
        }
    }
    false
}

impl Content<'_> {
    /// Which bytes are to be sent: all where the answer is `None`.
    ///
    /// # Errors
    /// The answer, where none are: the caller has them, or what he takes for granted does not hold.
    pub(super) fn wanted(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Option<Range<u64>>, Box<Response>> {
        match Condition::of(headers, Some(&self.etag), true) {
            Condition::Holds => {}
            Condition::Known => return Err(Box::new(self.known())),
            Condition::Fails => return Err(Box::new(Condition::problem().into_response())),
        }
        // Ranges are for GET alone.
        if method != Method::GET {
            return Ok(None);
        }
        if let Some(condition) = headers.get(header::IF_RANGE)
            && condition.as_bytes() != self.etag.as_bytes()
        {
            return Ok(None);
        }
        let Some(ranges) = ranges(headers) else { return Ok(None) };
        let mut there = ranges.iter().filter_map(|range| range.of(self.bytes).ok());
        match (there.next(), &ranges[..]) {
            (Some(range), [_]) => Ok(Some(range)),
            // Several are answered by all that there is, which has them in it.
            (Some(_), _) => Ok(None),
            (None, _) => Err(Box::new(self.unsatisfiable())),
        }
    }

    /// An answer with these bytes, or with none where only the headers were asked for.
    pub(super) fn respond(&self, range: Option<Range<u64>>, body: Body) -> Response {
        let mut response = body.into_response();
        let headers = response.headers_mut();
        self.validators(headers);
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let content_type = HeaderValue::from_str(self.content_type);
        headers.insert(
            header::CONTENT_TYPE,
            content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
        );
        if let Some(encoding) = self.encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if let Ok(disposition) = HeaderValue::from_str(&disposition(self.name)) {
            headers.insert(header::CONTENT_DISPOSITION, disposition);
        }
        guard(headers);
        let sent = range.as_ref().map_or(self.bytes, |range| range.end - range.start);
        headers.insert(header::CONTENT_LENGTH, sent.into());
        if let Some(range) = range {
            let text = format!("bytes {}-{}/{}", range.start, range.end - 1, self.bytes);
            if let Ok(text) = HeaderValue::from_str(&text) {
                headers.insert(header::CONTENT_RANGE, text);
            }
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }

    fn known(&self) -> Response {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        self.validators(response.headers_mut());
        response
    }

    fn unsatisfiable(&self) -> Response {
        let problem = Problem::new(
            ProblemType::RangeNotSatisfiable,
            format_args!("there are {} bytes, none of them in that range", self.bytes),
        );
        match HeaderValue::from_str(&format!("bytes */{}", self.bytes)) {
            Ok(all) => problem.header(header::CONTENT_RANGE, all).into_response(),
            Err(_) => problem.into_response(),
        }
    }

    fn validators(&self, headers: &mut HeaderMap) {
        if let Ok(etag) = HeaderValue::from_str(&self.etag) {
            headers.insert(header::ETAG, etag);
        }
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        // Kept by its owner's own cache at most, and asked for again before it is used.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
}

/// Headers of what others may have written: no browser guesses its type, runs it, or takes it for a part of this site.
pub(super) fn guard(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
}

/// The ranges that a request asks for; none where it asks for none, or in a way that nobody understands.
fn ranges(headers: &HeaderMap) -> Option<Vec<ByteRange>> {
    let mut given = headers.get_all(header::RANGE).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (unit, list) = value.to_str().ok()?.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let texts = list.split(',').map(str::trim).filter(|text| !text.is_empty());
    let ranges: Option<Vec<ByteRange>> = texts.map(|text| text.parse().ok()).collect();
    ranges.filter(|ranges| !ranges.is_empty())
}

/// How a browser saves a file (RFC 6266): the name in ASCII, and where that is another one the name itself (RFC 8187).
pub(super) fn disposition(name: &FileName) -> String {
    let plain = |c: char| c == ' ' || (c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%'));
    let fallback: String = name.as_str().chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if fallback == name.as_str() {
        return format!("attachment; filename=\"{fallback}\"");
    }
    let mut encoded = String::new();
    for byte in name.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}")
}

/// Whether the caller would rather have bytes in an encoding than without one (RFC 9110, section 12.5.3). Who says nothing
/// would not.
pub(super) fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let (mut ours, mut any, mut identity) = (None, None, None);
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let mut pieces = item.split(';').map(str::trim);
        let name = pieces.next().unwrap_or_default();
        let weight = pieces.find_map(|piece| piece.strip_prefix("q=").or(piece.strip_prefix("Q=")));
        let weight = weight.map_or(Some(1.0), |weight| weight.trim().parse::<f32>().ok()).unwrap_or(0.0);
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let place = match () {
            () if is(encoding) || (encoding == "gzip" && is("x-gzip")) => &mut ours,
            () if is("identity") => &mut identity,
            () if is("*") => &mut any,
            () => continue,
        };
        *place = Some(weight);
    }
    let ours = ours.or(any).unwrap_or(0.0);
    ours > 0.0 && ours >= identity.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(HeaderName, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn content(name: &FileName) -> Content<'_> {
        Content { name, content_type: "text/plain", encoding: None, bytes: 100, etag: "\"a\"".to_owned() }
    }

    #[test]
    fn ranges_are_answered_as_http_says() {
        let name = "x".parse().unwrap();
        let content = content(&name);
        let wanted = |range: &str| content.wanted(&Method::GET, &headers(&[(header::RANGE, range)]));
        for (range, found) in [
            ("bytes=0-9", Some(0..10)),
            ("bytes=90-", Some(90..100)),
            ("bytes=-5", Some(95..100)),
            ("Bytes = 0-0", Some(0..1)),
            ("bytes=50-500", Some(50..100)),
            // Ignored: several, no range, another unit, backwards.
            ("bytes=0-1,4-5", None),
            ("bytes=0-1,400-", None),
            ("bytes=x", None),
            ("bytes=", None),
            ("lines=0-1", None),
            ("bytes=5-1", None),
        ] {
            assert_eq!(wanted(range).unwrap(), found, "{range}");
        }
        for beyond in ["bytes=100-", "bytes=-0", "bytes=100-,200-300"] {
            let refused = wanted(beyond).unwrap_err();
            assert_eq!(refused.status(), StatusCode::RANGE_NOT_SATISFIABLE, "{beyond}");
            assert_eq!(refused.headers()[header::CONTENT_RANGE], "bytes */100");
        }
        let part = headers(&[(header::RANGE, "bytes=0-9")]);
        assert_eq!(content.wanted(&Method::HEAD, &part).unwrap(), None);
        for (condition, found) in [("\"a\"", Some(0..10)), ("\"b\"", None), ("W/\"a\"", None)] {
            let both = headers(&[(header::RANGE, "bytes=0-9"), (header::IF_RANGE, condition)]);
            assert_eq!(content.wanted(&Method::GET, &both).unwrap(), found, "{condition}");
        }
    }

    #[test]
    fn conditions_compare_strongly_or_weakly_as_http_says() {
        use Condition::{Fails, Holds, Known};
        let of = |name: &HeaderName, value, etag, is_read| {
            Condition::of(&headers(&[(name.clone(), value)]), etag, is_read)
        };
        let (there, none) = (Some("\"a\""), None);
        for (name, value, etag, is_read, found) in [
            (&header::IF_MATCH, "\"a\"", there, true, Holds),
            (&header::IF_MATCH, "W/\"a\"", there, true, Fails),
            (&header::IF_MATCH, "\"b\" , \"a\"", there, false, Holds),
            (&header::IF_MATCH, "*", none, false, Fails),
            (&header::IF_MATCH, "*", there, false, Holds),
            (&header::IF_NONE_MATCH, "\"b,\", W/\"a\"", there, true, Known),
            (&header::IF_NONE_MATCH, "*", there, false, Fails),
            (&header::IF_NONE_MATCH, "*", none, false, Holds),
            (&header::IF_NONE_MATCH, "\"b\"", there, true, Holds),
            (&header::IF_NONE_MATCH, "rubbish \"a", there, true, Holds),
        ] {
            assert_eq!(of(name, value, etag, is_read), found, "{name}: {value}");
        }
    }

    #[test]
    fn names_are_saved_as_they_are_and_break_no_header() {
        let of = |name: &str| disposition(&name.parse().unwrap());
        assert_eq!(of("novel.epub"), "attachment; filename=\"novel.epub\"");
        assert_eq!(
            of("100 % wool; é.md"),
            "attachment; filename=\"100 _ wool; _.md\"; filename*=UTF-8''100%20%25%20wool%3B%20%C3%A9.md"
        );
    }

    #[test]
    fn an_encoding_is_sent_to_who_asks_for_it() {
        let of = |value: &str, encoding| accepts(&headers(&[(header::ACCEPT_ENCODING, value)]), encoding);
        assert!(!accepts(&HeaderMap::new(), "zstd"));
        for (value, encoding, found) in [
            ("gzip, zstd", "zstd", true),
            ("gzip", "zstd", false),
            ("x-gzip", "gzip", true),
            ("*", "br", true),
            ("*, br;q=0", "br", false),
            ("identity, zstd;q=0.5", "zstd", false),
            ("identity;q=0.1, ZSTD;q=0.5", "zstd", true),
            ("identity;q=1, *;q=0", "zstd", false),
            ("", "zstd", false),
        ] {
            assert_eq!(of(value, encoding), found, "{value}");
        }
    }
}
