//! The keys that everything is sealed with, and what somebody forgot to fill in.

use super::{Found, Severity};
use crate::{
    config::{MasterKeySetting, Settings, Variables},
    security::MasterKeys,
};

pub(super) fn check(found: &mut Found, settings: &Settings, variable: &Variables<'_>) {
    master(found, settings);
    placeholders(found, settings, variable);
}

fn master(found: &mut Found, settings: &Settings) {
    let is_given = settings.master_key.is_some();
    found.unless(
        is_given || settings.redis_url.is_none(),
        "master-key.none",
        Severity::Critical,
        "there is no master key: with a Redis none is made, and nothing can be sealed",
        "write one with `openssl rand -base64 32` into a file of mode 600, and name it in master_key_file",
    );
    found.unless(
        is_given || settings.redis_url.is_some(),
        "master-key.made",
        Severity::High,
        "the master key is the one that Presswork makes for itself: it lies beside what it seals",
        "keep it elsewhere: copy master.key out of the data directory, and name the copy in master_key_file",
    );
    if let Some(MasterKeySetting::File(path)) = &settings.master_key {
        let problem = MasterKeys::read(path).err().map(|error| error.to_string());
        let fix = "write it with `openssl rand -base64 32` into a file of mode 600 that belongs to the user of this process";
        found.check("master-key.file", Severity::Critical, problem, fix);
        found.unless(
            !path.starts_with(&settings.data_dir),
            "master-key.beside",
            Severity::Medium,
            "the master key lies in the data directory, beside what it seals: a backup of the one holds the other",
            "move it out, and name its place in master_key_file",
        );
    }
    found.unless(
        !matches!(settings.master_key, Some(MasterKeySetting::Given(_))),
        "master-key.variable",
        Severity::Low,
        "the master key is in the environment, where every child process and crash dump has it",
        "name a file of it in PRESSWORK_MASTER_KEY_FILE instead",
    );
}

/// What stands where a value belongs.
const MARKS: [&str; 5] = ["change-me", "changeme", "change_me", "fill-in", "<your"];
/// Names that are nobody's (RFC 2606).
const NOBODYS: [&str; 7] =
    ["example.com", "example.org", "example.net", ".example", ".invalid", ".test", "example"];

/// Variables that are ours, and hold text that settings may not keep.
const VARIABLES: [&str; 6] = [
    "PRESSWORK_REDIS_URL",
    "PRESSWORK_MASTER_KEY_FILE",
    "PRESSWORK_STORAGE_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL",
];

fn placeholders(found: &mut Found, settings: &Settings, variable: &Variables<'_>) {
    let mut values: Vec<(&str, String)> = VARIABLES
        .iter()
        .filter_map(|name| Some((*name, variable(name)?.to_string_lossy().into_owned())))
        .collect();
    let api = &settings.api;
    values.extend(settings.redis_url.iter().map(|url| ("redis_url", url.reveal().to_owned())));
    values.extend(settings.storage_url.iter().map(|url| ("storage_url", url.to_string())));
    values.extend(api.hosts.iter().map(|host| ("hosts", host.to_string())));
    values.extend(api.cors_origins.iter().map(|origin| ("cors_origins", origin.to_string())));
    let left = values.iter().filter(|(_, value)| is_placeholder(value)).map(|(name, _)| *name);
    let mut left: Vec<&str> = left.collect();
    left.sort_unstable();
    left.dedup();
    let problem = (!left.is_empty()).then(|| format!("not filled in yet: {}", left.join(", ")));
    found.check(
        "placeholders",
        Severity::Critical,
        problem,
        "write your own values: what stands there everybody knows",
    );
}

/// Whether a text is one that stands where a value belongs.
fn is_placeholder(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let is_nobodys = |host: &str| {
        let name = host.split(':').next().unwrap_or_default();
        NOBODYS.iter().any(|nobodys| {
            name.strip_suffix(nobodys)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.') || nobodys.starts_with('.'))
        })
    };
    MARKS.iter().any(|mark| value.contains(mark)) || value.split(['/', '@', ',', '?', '=']).any(is_nobodys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_where_a_value_belongs_is_known() {
        for text in [
            "CHANGE-ME",
            "rediss://presswork:change-me@redis.books.io:6380",
            "rediss://a:b@redis.example.com:6380/0",
            "api.example.com",
            "https://app.example.org",
            "s3://example/prefix",
            "<your bucket>",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in [
            "api.books.io",
            "s3://books/presswork",
            "/run/secrets/master.key",
            "https://anexample.com",
            "contest.io",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
