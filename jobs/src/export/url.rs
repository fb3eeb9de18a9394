//! Addresses of links out of the book, made valid: EPUB readers and checkers refuse what the URL standard calls an error.

/// The address as a valid URL, or `None` where it can't be one. `doi:` becomes its resolver's address, because no
/// browser knows the scheme.
pub(crate) fn valid(target: &str) -> Option<String> {
    let target = target.trim();
    let (scheme, rest) = target.split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => {
            let rest = rest.strip_prefix("//")?;
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            is_authority(authority).then(|| format!("{scheme}://{authority}{}", encoded(path)))
        }
        "doi" if !rest.is_empty() => Some(format!("https://doi.org/{}", encoded(rest))),
        "mailto" | "tel" if !rest.is_empty() => Some(format!("{scheme}:{}", encoded(rest))),
        _ => None,
    }
}

/// Host and port. User names are refused: nobody's book needs them, and they are how false addresses are made.
fn is_authority(authority: &str) -> bool {
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    };
    // A last label of digits makes it an IPv4 address, of which there are many invalid ones.
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    let valid = if numeric {
        host.parse::<std::net::Ipv4Addr>().is_ok()
    } else {
        host.strip_suffix('.').unwrap_or(host).split('.').all(label)
    };
    valid && (port.is_empty() || port.parse::<u16>().is_ok()) && !authority.ends_with(':')
}

/// Everything outside of RFC 3986's characters, percent-encoded; only one `#` stays.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_fragment = false;
    for (at, byte) in text.bytes().enumerate() {
        let stays = match byte {
            b'#' => !std::mem::replace(&mut in_fragment, true),
            b'%' => {
                let digits = text.as_bytes().get(at + 1..at + 3);
                digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            }
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
            | b';' | b'=' | b':' | b'@' | b'/' | b'?' => true,
            other => other.is_ascii_alphanumeric(),
        };
        if stays {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_made_valid_or_refused() {
        let is = |target: &str, url: &str| assert_eq!(valid(target).as_deref(), Some(url), "{target}");
        is("HTTPS://example.org/a b?q=ä#x#y", "https://example.org/a%20b?q=%C3%A4#x%23y");
        is("http://example.org:80/100%", "http://example.org:80/100%25");
        is("http://127.0.0.1/x", "http://127.0.0.1/x");
        is("doi:10.1000/182", "https://doi.org/10.1000/182");
        is("mailto:a@example.org", "mailto:a@example.org");
        for refused in [
            "http://",
            "http:x",
            "https://a b/",
            "http://a@b/",
            "http://1.2.3/",
            "mailto:",
            "x",
            "http://a..b/",
        ] {
            assert_eq!(valid(refused), None, "{refused}");
        }
    }
}
