//! How the HTTP API stands open.

use std::time::Duration;

use super::{Found, Severity, mode};
use crate::{
    config::{ApiSettings, CorsOrigin, Environment, Settings},
    domain::Rate,
    limits::{LimitRules, Resource},
};

/// More than this a minute limits nobody who has no account.
const MANY_ANONYMOUS: i64 = 6_000;

pub(super) fn check(found: &mut Found, settings: &Settings) {
    let api = &settings.api;
    let is_near = api.listen.is_none_or(|address| address.ip().is_loopback());
    transport(found, settings, is_near);
    callers(found, api, is_near);
    limits(found, &settings.limits);
    bounds(found, api);
}

fn transport(found: &mut Found, settings: &Settings, is_near: bool) {
    let api = &settings.api;
    found.unless(
        is_near || api.has_tls() || !api.trusted_proxies.is_empty(),
        "tls.none",
        Severity::Critical,
        "the API listens beyond this machine without TLS, and no proxy is named that speaks it",
        "set tls_cert and tls_key, or name the proxy that ends TLS in trusted_proxies, or listen on 127.0.0.1",
    );
    found.unless(
        api.tls_cert.is_some() == api.tls_key.is_some(),
        "tls.half",
        Severity::Critical,
        "only one of tls_cert and tls_key is set",
        "set both",
    );
    for path in [&api.tls_cert, &api.tls_key].into_iter().flatten() {
        let problem = std::fs::File::open(path).err().map(|error| format!("{}: {error}", path.display()));
        found.check("tls.file", Severity::Critical, problem, "name a file of PEM that this process can read");
    }
    if let Some(key) = &api.tls_key {
        let open = mode(key).filter(|mode| mode & 0o077 != 0);
        let problem = open.map(|mode| format!("{} can be read by others (mode {mode:03o})", key.display()));
        found.check(
            "tls.key-open",
            Severity::High,
            problem,
            "chmod 600 it, and give it to the user of this process",
        );
    }
    found.unless(
        is_near || settings.environment == Environment::Production,
        "environment.development",
        Severity::High,
        "the API listens beyond this machine in development",
        "set environment = \"production\" (PRESSWORK_ENV), so that what is not safe does not start",
    );
}

fn callers(found: &mut Found, api: &ApiSettings, is_near: bool) {
    found.unless(
        !api.hosts.is_empty(),
        "hosts.none",
        if is_near { Severity::Medium } else { Severity::Critical },
        "no host is named: the API answers by any address and by localhost, and by no name of its own",
        "set hosts to the names under which callers reach it",
    );
    found.unless(
        !api.cors_origins.contains(&CorsOrigin::Any),
        "cors.any",
        Severity::Critical,
        "pages of every origin may call the API",
        "name the origins of your own pages in cors_origins",
    );
    let plain: Vec<String> =
        api.cors_origins.iter().filter(|origin| origin.is_plain()).map(ToString::to_string).collect();
    let problem = (!plain.is_empty()).then(|| {
        format!("pages that come over an open line may call the API with cookies: {}", plain.join(", "))
    });
    found.check(
        "cors.http",
        Severity::High,
        problem,
        "serve the pages over https, and name them so in cors_origins",
    );
    let (mut all, mut many) = (None, None);
    for network in &api.trusted_proxies {
        if network.prefix() == 0 {
            all =
                Some(format!("everybody is a trusted proxy ({network}): callers choose their own addresses"));
        } else if network.prefix() < if network.is_v4() { 8 } else { 16 } {
            many = Some(format!("a very large network is a trusted proxy: {network}"));
        }
    }
    let fix = "name only the addresses that your proxies have";
    found.check("proxies.everybody", Severity::Critical, all, fix);
    found.check("proxies.wide", Severity::High, many, fix);
}

fn limits(found: &mut Found, rules: &LimitRules) {
    let rate = |resource: &Resource| rules.0.get(resource);
    found.unless(
        rate(&LimitRules::API).is_some(),
        "limits.api",
        Severity::High,
        "calls of the API are not limited",
        "set `api` in [limits]; single tenants may have more by `presswork limits set`",
    );
    found.unless(
        rate(&LimitRules::ANONYMOUS).is_some(),
        "limits.anonymous",
        Severity::High,
        "callers without a credential are not limited",
        "set `anonymous` in [limits], as in 60/min:10",
    );
    let a_minute = |rate: &Rate| 60_000_000 / rate.interval_micros().max(1);
    let many = rate(&LimitRules::ANONYMOUS).filter(|rate| a_minute(rate) > MANY_ANONYMOUS);
    let problem = many.map(|rate| format!("callers without a credential may call {rate}"));
    found.check("limits.anonymous-high", Severity::Medium, problem, "allow less: 60/min:10 is the default");
}

fn bounds(found: &mut Found, api: &ApiSettings) {
    found.unless(
        api.most_body_bytes <= 64 << 20,
        "bounds.body",
        Severity::Medium,
        "bodies that are no files may have more than 64 MiB, and each is held in memory",
        "set most_body_bytes to 1MiB, or to what your largest payload needs",
    );
    found.unless(
        api.header_timeout <= Duration::from_secs(60) && !api.header_timeout.is_zero(),
        "bounds.header",
        Severity::Medium,
        "a request's head may take more than a minute",
        "set header_timeout to 10s",
    );
    found.unless(
        api.request_timeout <= Duration::from_secs(600) && api.idle_timeout <= Duration::from_secs(600),
        "bounds.time",
        Severity::Low,
        "a request may take, or stall for, more than ten minutes",
        "set request_timeout and idle_timeout to 30s",
    );
    found.unless(
        api.connections_per_address() <= api.eighth_of_connections(),
        "bounds.connections",
        Severity::Low,
        "a few addresses may take all connections",
        "leave most_connections_per_address away (it is an eighth of most_connections then), or set it to that or less",
    );
}
