//! How long a server asks to wait. Must not know: why.

use std::time::Duration;

use presswork::{domain::Timestamp, security::outgoing::HeaderMap};

/// No server is believed that asks for more.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// What `retry-after-ms` says, else `retry-after` as seconds or as a date; `None` where neither makes sense.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str, unit: f64| {
        let seconds = text.parse::<f64>().ok().filter(|number| number.is_finite())? * unit;
        Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(LONGEST))
    };
    let millis = text("retry-after-ms").and_then(|text| number(text, 0.001));
    let wait = millis.or_else(|| {
        let text = text("retry-after")?;
        number(text, 1.0).or_else(|| until(text, now))
    });
    wait.map(|wait| wait.min(LONGEST))
}

fn until(date: &str, now: Timestamp) -> Option<Duration> {
    let then = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_millisecond();
    Some(Duration::from_millis(u64::try_from(then.saturating_sub(now.as_millis())).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_come_first_then_seconds_then_a_date_and_nonsense_says_nothing() {
        // 1994-11-06T08:49:37Z
        let now = Timestamp::from_millis(784_111_777_000);
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        for (headers, wait) in [
            (&[("retry-after", "7"), ("retry-after-ms", "1500")] as &[_], seconds(1.5)),
            (&[("retry-after", "7"), ("retry-after-ms", "soon")], seconds(7.0)),
            (&[("retry-after", " 0.25 ")], seconds(0.25)),
            (&[("retry-after", "-3")], seconds(0.0)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")], seconds(60.0)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], seconds(0.0)),
            (&[("retry-after", "1e300")], Some(LONGEST)),
            (&[("retry-after", "Thu, 06 Nov 2994 08:50:37 GMT")], Some(LONGEST)),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "later")], None),
            (&[], None),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            assert_eq!(retry_after(&map, now), wait, "{headers:?}");
        }
    }
}
