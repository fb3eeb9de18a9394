//! W3C trace context: taken from a request, told in its answer. Owns: the form of `traceparent` and `tracestate`. Must not
//! know: where traces go.

use axum::http::{HeaderMap, HeaderValue};

use super::only;
use crate::domain::Random;

/// To which trace a request belongs, and which part of it the request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    trace: u128,
    span: u64,
    flags: u8,
    state: Option<String>,
}

const MOST_STATE_CHARACTERS: usize = 512;

impl Trace {
    /// The caller's trace, where he names one, or a new one; the request is a new part of it.
    pub(super) fn of(headers: &HeaderMap, random: &dyn Random) -> Self {
        let mut bytes = [0; 24];
        random.fill(&mut bytes);
        let (trace, span) = bytes.split_at(16);
        let read = |bytes: &[u8]| bytes.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
        // Zero is no id.
        let span = u64::try_from(read(span)).unwrap_or_default().max(1);
        match only(headers, "traceparent").and_then(parent) {
            Some((trace, flags)) => {
                let state = only(headers, "tracestate").filter(|state| {
                    state.len() <= MOST_STATE_CHARACTERS
                        && state.bytes().all(|byte| (0x20..0x7f).contains(&byte))
                });
                Self { trace, span, flags, state: state.map(str::to_owned) }
            }
            None => Self { trace: read(trace).max(1), span, flags: 0, state: None },
        }
    }

    /// The trace's id: 32 hexadecimal digits.
    pub(crate) fn id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// `traceparent` for whoever is called on behalf of the request, and for its answer.
    pub(crate) fn parent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }

    /// Writes it into an answer.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Ok(parent) = HeaderValue::from_str(&self.parent()) {
            headers.insert("traceparent", parent);
        }
        if let Some(Ok(state)) = self.state.as_deref().map(HeaderValue::from_str) {
            headers.insert("tracestate", state);
        }
    }
}

/// The trace and the flags of `traceparent`; of a later version what this one knows.
fn parent(text: &str) -> Option<(u128, u8)> {
    let hex = |text: &str, digits: usize| {
        let good = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if good { u128::from_str_radix(text, 16).ok() } else { None }
    };
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let (trace, span, flags) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
    let is_whole = version != 0 || parts.next().is_none();
    let flags = u8::try_from(flags).ok()? & 1;
    (version != 0xff && trace != 0 && span != 0 && is_whole).then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sound_parent_is_taken() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{id}-b7ad6b7169203331-01");
        assert_eq!(
            parent(&good).map(|(trace, flags)| (format!("{trace:032x}"), flags)),
            Some((id.to_owned(), 1))
        );
        assert!(parent(&format!("cc-{id}-b7ad6b7169203331-01-more")).is_some());
        for bad in [
            String::new(),
            format!("ff-{id}-b7ad6b7169203331-01"),
            format!("00-{id}-b7ad6b7169203331-01-more"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{id}-0000000000000000-01"),
            good.to_uppercase(),
            format!("00-{id}-b7ad6b7169203331"),
            format!("00-+{}-b7ad6b7169203331-01", &id[1..]),
        ] {
            assert_eq!(parent(&bad), None, "{bad}");
        }
    }
}
