//! How what is kept is kept: the Redis, the storage, the data directory; what is said of it in the log, and to whom.

use super::{Found, Severity, mode};
use crate::{
    config::{Environment, HostName, LogFormat, Settings, Variables},
    store::redis::RedisUrl,
};

/// A password of fewer characters is guessed.
const SHORT: usize = 16;

pub(super) fn check(found: &mut Found, settings: &Settings, variable: &Variables<'_>) {
    if let Some(redis) = &settings.redis_url {
        check_redis(found, redis.url());
    }
    storage(found, settings, variable);
    folder(found, settings);
    found.unless(
        !settings.retention.is_zero(),
        "retention.none",
        Severity::Low,
        "finished jobs and what they made are removed at once",
        "set retention to as long as somebody may ask for them, as in 7d",
    );
    log(found, settings);
    alerts(found, settings);
}

fn check_redis(found: &mut Found, url: &RedisUrl) {
    let is_near = url.addresses.iter().all(|address| is_near(&address.host));
    found.unless(
        url.tls || is_near,
        "redis.plain",
        Severity::Critical,
        "jobs and their payloads go to the Redis over an open line",
        "use rediss:// in redis_url, with ca= for an authority of your own",
    );
    found.unless(
        url.login.is_some() || is_near,
        "redis.password",
        Severity::Critical,
        "the Redis is used without a password",
        "give it an ACL user with a long password, and write both into PRESSWORK_REDIS_URL",
    );
    found.unless(
        url.login.is_some() || !is_near,
        "redis.password-local",
        Severity::Medium,
        "the Redis on this machine is used without a password: every program of the machine can read and change jobs",
        "give it an ACL user with a long password",
    );
    if let Some(login) = &url.login {
        found.unless(
            login.user.as_deref().is_some_and(|user| user != "default"),
            "redis.user",
            Severity::Medium,
            "the Redis is used by its default user, which may do everything",
            "make an ACL user that may use only the keys and channels of the namespace",
        );
        found.unless(
            login.password.chars().count() >= SHORT,
            "redis.short",
            Severity::High,
            "the password of the Redis has fewer than 16 characters",
            "choose a random one: openssl rand -base64 32",
        );
    }
}

fn is_near(host: &str) -> bool {
    let text = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    text.parse::<HostName>().is_ok_and(|host| host.is_loopback())
}

/// Where the environment may send the clients of object stores.
const ENDPOINTS: [&str; 5] =
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL"];

fn storage(found: &mut Found, settings: &Settings, variable: &Variables<'_>) {
    let Some(url) = &settings.storage_url else { return };
    let plain = |name: &&str| {
        let text = variable(name).and_then(|text| text.into_string().ok()).unwrap_or_default();
        let host = text.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or(rest).to_owned());
        host.is_some_and(|host| !host.parse::<HostName>().is_ok_and(|host| host.is_loopback()))
    };
    let named = ENDPOINTS.iter().find(|name| plain(name));
    let problem = named.map(|name| format!("artifacts go to the storage over an open line ({name})"));
    found.check("storage.plain", Severity::Critical, problem, "use an https:// endpoint");
    found.unless(
        url.to_string() != "memory://",
        "storage.memory",
        Severity::Critical,
        "artifacts are kept in memory: they are gone when the process ends",
        "set storage_url to a bucket or a folder",
    );
}

fn folder(found: &mut Found, settings: &Settings) {
    let folder = &settings.data_dir;
    let permissions = mode(folder);
    let told = |mode: u32| format!("{} can be entered by others (mode {mode:03o})", folder.display());
    let fix = "chmod 700 it, and give it to the user of this process";
    let written = permissions.filter(|mode| mode & 0o022 != 0).map(told);
    let read = permissions.filter(|mode| mode & 0o077 != 0 && mode & 0o022 == 0).map(told);
    found.check("data-dir.writable", Severity::Critical, written, fix);
    found.check("data-dir.readable", Severity::High, read, fix);
    found.unless(
        !["/tmp", "/var/tmp", "/dev/shm"].iter().any(|tmp| folder.starts_with(tmp))
            || settings.redis_url.is_some(),
        "data-dir.temporary",
        Severity::Medium,
        "the data directory is where the system removes files by itself",
        "set data_dir to a folder that stays, as in /var/lib/presswork",
    );
}

fn alerts(found: &mut Found, settings: &Settings) {
    found.unless(
        settings.environment != Environment::Production || settings.alerts.webhook.is_some(),
        "alerts.nobody",
        Severity::Medium,
        "alerts go to the log alone: nobody is told when somebody tries passwords or the audit log breaks",
        "set webhook in [alerts] and PRESSWORK_ALERT_WEBHOOK_SECRET, or let a program watch the log for `alert:`",
    );
}

fn log(found: &mut Found, settings: &Settings) {
    let levels = settings.log.as_deref().unwrap_or_default().to_ascii_lowercase();
    let is_loud = levels.split(',').any(|part| {
        let level = part.rsplit('=').next().unwrap_or_default().trim();
        matches!(level, "debug" | "trace")
    });
    found.unless(
        !is_loud,
        "log.debug",
        Severity::Medium,
        "debug logs are on: they name what libraries send and receive",
        "set log to info",
    );
    found.unless(
        settings.log_format == Some(LogFormat::Json),
        "log.text",
        Severity::Low,
        "logs are text for people",
        "set log_format to json, so that programs that watch them read them for certain",
    );
}
