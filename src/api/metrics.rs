//! `/metrics` in Prometheus' text format 0.0.4, and what is counted of HTTP. Owns: the counters of requests, the writer of the
//! format. Labels are bounded: routes are patterns of the document, methods and states closed lists.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::{Display, Write as _},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::http::Method;

/// The upper bounds of the latencies' buckets, in microseconds.
const BOUNDS: [u64; 12] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000];
/// The route of what matches none.
const NO_ROUTE: &str = "none";

/// How one route fared.
#[derive(Debug, Default)]
struct Route {
    statuses: Mutex<BTreeMap<u16, u64>>,
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

type Table = HashMap<Method, HashMap<String, Arc<Route>>>;

/// What was counted of HTTP since the process began.
#[derive(Debug, Default)]
pub(super) struct Requests(RwLock<Table>);

/// The methods that are told apart; all others are one.
const METHODS: [Method; 7] =
    [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD, Method::OPTIONS];

/// Requests of all routes together.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    /// By the first digit of the status.
    pub(super) by_class: [u64; 6],
    buckets: [u64; BOUNDS.len() + 1],
}

impl Totals {
    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The latency, in milliseconds, that so many per thousand did not exceed: the upper bound of its bucket; `None` where
    /// nothing was asked or it is beyond all bounds.
    pub(super) fn quantile(&self, per_thousand: u64) -> Option<f64> {
        let wanted = (self.count() * per_thousand).div_ceil(1_000);
        let mut seen = 0;
        for (bound, count) in BOUNDS.iter().zip(&self.buckets) {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Some(thousandths(*bound));
            }
        }
        None
    }
}

fn thousandths(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let number = number as f64;
    number / 1_000.0
}

impl Requests {
    fn slot(&self, method: &Method, route: &str) -> Arc<Route> {
        let method = METHODS.iter().find(|known| *known == method).unwrap_or(&Method::TRACE);
        let found = |table: &Table| table.get(method)?.get(route).cloned();
        if let Some(found) = found(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return found;
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.entry(method.clone()).or_default().entry(route.to_owned()).or_default().clone()
    }

    /// Counts a request when its answer's head is there. A stream counts when it begins.
    pub(super) fn count(&self, method: &Method, route: Option<&str>, status: u16, took: Duration) {
        let route = self.slot(method, route.unwrap_or(NO_ROUTE));
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        route.buckets[bucket].fetch_add(1, Relaxed);
        route.micros.fetch_add(micros, Relaxed);
        *route.statuses.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    fn all(&self) -> Vec<(Method, String, Arc<Route>)> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = table
            .iter()
            .flat_map(|(method, routes)| {
                routes.iter().map(move |(route, found)| (method.clone(), route.clone(), found.clone()))
            })
            .collect();
        all.sort_unstable_by(|(a, b, _), (c, d, _)| (b, a.as_str()).cmp(&(d, c.as_str())));
        all
    }

    /// All routes together.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (.., route) in self.all() {
            for (sum, bucket) in totals.buckets.iter_mut().zip(&route.buckets) {
                *sum += bucket.load(Relaxed);
            }
            for (status, count) in &*route.statuses.lock().unwrap_or_else(PoisonError::into_inner) {
                totals.by_class[usize::from(status / 100).min(5)] += count;
            }
        }
        totals
    }

    /// Writes what was counted.
    pub(super) fn write(&self, text: &mut Text) {
        let all = self.all();
        text.family("presswork_http_requests_total", "counter", "Requests answered, by route and status.");
        for (method, route, found) in &all {
            for (status, count) in &*found.statuses.lock().unwrap_or_else(PoisonError::into_inner) {
                let labels: [(&str, &dyn Display); 3] =
                    [("method", &name(method)), ("route", route), ("status", status)];
                text.sample("", &labels, count);
            }
        }
        let help = "From a request's arrival to its answer's head.";
        text.family("presswork_http_request_duration_seconds", "histogram", help);
        for (method, route, found) in &all {
            let (method, mut sum) = (name(method), 0);
            for (place, bucket) in found.buckets.iter().enumerate() {
                sum += bucket.load(Relaxed);
                let bound = BOUNDS
                    .get(place)
                    .map_or("+Inf".to_owned(), |bound| (thousandths(*bound) / 1_000.0).to_string());
                text.sample("_bucket", &[("method", &method), ("route", route), ("le", &bound)], &sum);
            }
            let seconds = thousandths(found.micros.load(Relaxed)) / 1_000.0;
            text.sample("_sum", &[("method", &method), ("route", route)], &seconds);
            text.sample("_count", &[("method", &method), ("route", route)], &sum);
        }
    }
}

fn name(method: &Method) -> &str {
    if *method == Method::TRACE { "other" } else { method.as_str() }
}

/// Prometheus' text format, version 0.0.4, as it is written.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    family: String,
}

impl Text {
    /// Begins a family of samples.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        name.clone_into(&mut self.family);
    }

    /// A sample of the family.
    pub(super) fn sample(&mut self, suffix: &str, labels: &[(&str, &dyn Display)], value: &dyn Display) {
        self.text.push_str(&self.family);
        self.text.push_str(suffix);
        for (place, (name, value)) in labels.iter().enumerate() {
            let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{name}=\"{value}\"", if place == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    /// A family of one sample.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: &dyn Display) {
        self.family(name, kind, help);
        self.sample("", &[], value);
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_status_and_an_unknown_method_is_one_of_others() {
        let requests = Requests::default();
        for (method, status, micros) in
            [("GET", 200, 400), ("GET", 404, 3_000), ("BREW", 405, 1), ("STEEP", 405, 60_000_000)]
        {
            let took = Duration::from_micros(micros);
            requests.count(&method.parse().unwrap(), Some("/v1/jobs/{job}"), status, took);
        }
        let mut text = Text::default();
        requests.write(&mut text);
        let text = text.finish();
        for line in [
            "# TYPE presswork_http_requests_total counter",
            "presswork_http_requests_total{method=\"GET\",route=\"/v1/jobs/{job}\",status=\"404\"} 1",
            "presswork_http_requests_total{method=\"other\",route=\"/v1/jobs/{job}\",status=\"405\"} 2",
            "presswork_http_request_duration_seconds_bucket{method=\"GET\",route=\"/v1/jobs/{job}\",le=\"0.0005\"} 1",
            "presswork_http_request_duration_seconds_bucket{method=\"GET\",route=\"/v1/jobs/{job}\",le=\"+Inf\"} 2",
            "presswork_http_request_duration_seconds_sum{method=\"GET\",route=\"/v1/jobs/{job}\"} 0.0034",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let totals = requests.totals();
        assert_eq!((totals.count(), totals.by_class[4], totals.by_class[2]), (4, 3, 1));
        assert_eq!(
            (totals.quantile(500), totals.quantile(750), totals.quantile(999)),
            (Some(0.5), Some(5.0), None)
        );
    }

    #[test]
    fn a_label_can_not_end_its_line() {
        let mut text = Text::default();
        text.family("x", "gauge", "One.");
        text.sample("", &[("a", &"q\"b\\c\nd")], &1);
        assert_eq!(text.finish(), "# HELP x One.\n# TYPE x gauge\nx{a=\"q\\\"b\\\\c\\nd\"} 1\n");
    }
}
