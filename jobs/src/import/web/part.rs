//! What is held of a file, and whether an answer goes on with it (RFC 9110, sections 8.8, 13.1.5 and 14).

use presswork::security::outgoing::{HeaderMap, HeaderName, HeaderValue};

/// What has come of a file so far.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) bytes: u64,
    /// How many it has, where its server has said it.
    pub(super) total: Option<u64>,
    pub(super) name: String,
    /// How often it was begun anew.
    pub(super) anew: u32,
    /// What tells it from another one at the same address.
    pub(super) version: Option<Version>,
}

/// A strong validator.
#[derive(Debug)]
pub(super) struct Version {
    header: &'static str,
    value: HeaderValue,
}

/// What a part is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What comes behind what is held, and how many bytes the whole has, where that is said.
    GoesOn(Option<u64>),
    /// Something else, and why.
    Other(&'static str),
}

impl Held {
    /// A whole file begins.
    pub(super) fn begin(&mut self, headers: &HeaderMap, name: String) {
        self.total = text(headers, "content-length").and_then(|length| length.trim().parse().ok());
        self.version = version(headers);
        self.name = name;
    }

    /// What is asked for: the rest, where the server can tell whether it is still the same file.
    pub(super) fn conditions(&self) -> Vec<(HeaderName, HeaderValue)> {
        let range = HeaderValue::from_str(&format!("bytes={}-", self.bytes));
        match (&self.version, range) {
            (Some(version), Ok(range)) if self.bytes > 0 => vec![
                (HeaderName::from_static("range"), range),
                (HeaderName::from_static("if-range"), version.value.clone()),
            ],
            _ => Vec::new(),
        }
    }

    /// What an answer of "partial content" is. Servers that know no `If-Range` are found out by their validators.
    pub(super) fn judge(&self, headers: &HeaderMap) -> Part {
        let range = text(headers, "content-range").and_then(content_range);
        let Some((Some(first), total)) = range else {
            return Part::Other("the server does not say which part it sends");
        };
        if first != self.bytes {
            return Part::Other("the server sends another part than was asked for");
        }
        let is_other =
            |version: &Version| headers.get(version.header).is_some_and(|value| *value != version.value);
        let sizes_differ = self.total.zip(total).is_some_and(|(one, other)| one != other);
        if sizes_differ || self.version.as_ref().is_some_and(is_other) {
            return Part::Other("the file has changed while it was fetched");
        }
        Part::GoesOn(total)
    }

    /// Whether "there is no such part" means that nothing is missing.
    pub(super) fn is_all(&self, headers: &HeaderMap) -> bool {
        let total = text(headers, "content-range").and_then(content_range).and_then(|(_, total)| total);
        self.total.is_none() && total == Some(self.bytes)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The first byte (none in `*/7`) and the whole length (none where nobody knows it).
fn content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let rest = text.trim().strip_prefix("bytes")?.trim_start();
    let (range, total) = rest.split_once('/')?;
    let total = total.trim().parse().ok();
    match range.trim() {
        "*" => Some((None, total)),
        range => {
            let (first, last) = range.split_once('-')?;
            let (first, last) = (first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?);
            let is_sound = first <= last && total.is_none_or(|total: u64| last < total);
            is_sound.then_some((Some(first), total))
        }
    }
}

/// A strong validator: an entity tag that is not weak, or a date that lies before the answer's own.
fn version(headers: &HeaderMap) -> Option<Version> {
    if let Some(tag) = headers.get("etag") {
        let is_strong = tag.as_bytes().starts_with(b"\"");
        return is_strong.then(|| Version { header: "etag", value: tag.clone() });
    }
    let changed = headers.get("last-modified")?;
    let is_before = headers.get("date").is_some_and(|date| date != changed);
    is_before.then(|| Version { header: "last-modified", value: changed.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_rest_is_asked_for_only_where_the_server_can_tell_versions() {
        for (given, validator) in [
            (&[("etag", "\"a\"")] as &[_], Some("\"a\"")),
            (&[("etag", "W/\"a\""), ("last-modified", "then"), ("date", "now")], None),
            (&[("last-modified", "then"), ("date", "now")], Some("then")),
            (&[("last-modified", "now"), ("date", "now")], None),
            (&[("last-modified", "then")], None),
            (&[], None),
        ] {
            let mut held = Held::default();
            held.begin(&headers(given), String::new());
            assert!(held.conditions().is_empty(), "nothing is held yet");
            held.bytes = 7;
            let asked = held.conditions();
            let value = |name: &str| {
                asked.iter().find(|(one, _)| one == name).map(|(_, value)| value.to_str().unwrap())
            };
            assert_eq!(value("if-range"), validator, "{given:?}");
            assert_eq!(value("range"), validator.map(|_| "bytes=7-"), "{given:?}");
        }
    }

    #[test]
    fn a_part_goes_on_only_where_place_length_and_version_fit() {
        let mut held = Held::default();
        held.begin(&headers(&[("etag", "\"a\""), ("content-length", "20")]), String::new());
        held.bytes = 7;
        for (given, goes_on) in [
            (&[("content-range", "bytes 7-19/20"), ("etag", "\"a\"")] as &[_], true),
            (&[("content-range", "bytes 7-9/*")], true),
            (&[("content-range", "bytes 8-19/20")], false),
            (&[("content-range", "bytes 0-19/20")], false),
            (&[("content-range", "bytes 7-20/21")], false),
            (&[("content-range", "bytes 7-19/20"), ("etag", "\"b\"")], false),
            (&[("content-range", "bytes 19-7/20")], false),
            (&[("content-range", "bytes 7-25/20")], false),
            (&[("content-range", "bytes */20")], false),
            (&[("content-range", "pages 7-19/20")], false),
            (&[], false),
        ] {
            assert_eq!(matches!(held.judge(&headers(given)), Part::GoesOn(_)), goes_on, "{given:?}");
        }
        assert!(!held.is_all(&headers(&[("content-range", "bytes */7")])), "its length is known");
        held.total = None;
        assert!(held.is_all(&headers(&[("content-range", "bytes */7")])));
        assert!(!held.is_all(&headers(&[("content-range", "bytes */6")])));
    }
}
