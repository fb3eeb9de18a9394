//! Settings: flag, then environment, then `presswork.toml`, then default. Owns: their names, bounds and defaults.
//! Must not know: what they are used for.

mod api;
mod audit;
mod budgets;
mod cors;
mod environment;
mod hosts;
mod limits;
mod log;
mod master;
mod oidc;
mod outgoing;
mod proxies;
mod quantity;
mod redis;
mod sessions;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::Deserialize;

pub use api::{ApiLayer, ApiSettings};
pub use audit::{AlertSettings, AlertsLayer, AuditLayer};
pub use budgets::BudgetsSetting;
pub use cors::{CorsOrigin, CorsOriginError};
pub use environment::{Environment, EnvironmentError};
pub use hosts::{HostError, HostName, HostPattern};
pub use limits::LimitsSetting;
pub use log::{LogFormat, LogFormatError};
pub use master::MasterKeySetting;
pub use oidc::OidcLayer;
pub use outgoing::OutgoingLayer;
pub use proxies::{Network, NetworkError, ProxyHeader, ProxyHeaderError};
pub use quantity::{ByteSize, ByteSizeError, TimeSpan, TimeSpanError};

pub use redis::RedisSetting;
pub use sessions::SessionsLayer;

use crate::{
    artifact::StorageUrl,
    domain::TenantId,
    limits::LimitRules,
    security::{
        MasterKeys, audit::Keeping, oidc::OidcProvider, outgoing::OutgoingRules, sessions::SessionRules,
    },
    spending::Budget,
};

/// What a process works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where everything is kept. Default `./presswork-data`.
    pub data_dir: PathBuf,
    /// The Redis that keeps jobs, records and progress; `None` for a SQLite file in the data directory. Temporary files
    /// stay in the data directory either way.
    pub redis_url: Option<RedisSetting>,
    /// The storage that keeps artifacts, and what producers upload; `None` for the folder `objects` in the data directory.
    pub storage_url: Option<StorageUrl>,
    /// Whose jobs commands speak of. Default `default`.
    pub tenant: TenantId,
    /// How many jobs a worker runs at once; `None` for two a core and at least four.
    pub concurrency: Option<usize>,
    /// How long a lease holds unless it is renewed. Default 15 s.
    pub lease: Duration,
    /// How long running jobs may go on when a worker is to stop. Default 30 s.
    pub drain: Duration,
    /// How long finished jobs and what they made are kept. Default 7 days.
    pub retention: Duration,
    /// How many finished jobs are kept of each tenant, at most; `None` for any number. Default 100,000.
    pub keep_finished: Option<u64>,
    /// Which lines are logged, in the words of `tracing-subscriber`'s filter; `None` for the command's own default.
    pub log: Option<String>,
    /// How a line is written; `None` for JSON where results are JSON, else text.
    pub log_format: Option<LogFormat>,
    /// How much each tenant may use of a resource, unless it is set for it alone.
    pub limits: LimitRules,
    /// What each tenant may spend on models, unless it is set for it alone. Default: as much as it likes.
    pub budgets: Budget,
    /// In what pieces artifacts go down the pipeline, in bytes. Default 8 KiB.
    pub chunk_size: usize,
    /// The master keys; `None` for one that is made in the data directory, with a Redis for none.
    pub master_key: Option<MasterKeySetting>,
    /// How the HTTP API is served.
    pub api: ApiSettings,
    /// Where calls may go whose addresses others have chosen.
    pub outgoing: OutgoingRules,
    /// Models that write, as the kinds read it that ask them. `None` for none.
    pub models: Option<serde_json::Value>,
    /// Who may vouch for users, by the name in their path.
    pub oidc: BTreeMap<String, OidcProvider>,
    /// How long browsers stay logged in.
    pub sessions: SessionRules,
    /// What the process is there for. Default development.
    pub environment: Environment,
    /// How the audit log is kept.
    pub audit: Keeping,
    /// When somebody is told of what is in it.
    pub alerts: AlertSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("presswork-data"),
            redis_url: None,
            storage_url: None,
            tenant: default_tenant(),
            concurrency: None,
            lease: Duration::from_secs(15),
            drain: Duration::from_secs(30),
            retention: Duration::from_secs(7 * 86_400),
            keep_finished: Some(100_000),
            log: None,
            log_format: None,
            limits: LimitRules::default(),
            budgets: Budget::default(),
            chunk_size: 8 << 10,
            master_key: None,
            api: ApiSettings::default(),
            outgoing: OutgoingRules::default(),
            models: None,
            oidc: BTreeMap::new(),
            sessions: SessionRules::default(),
            environment: Environment::default(),
            audit: Keeping::default(),
            alerts: AlertSettings::default(),
        }
    }
}

#[expect(clippy::expect_used, reason = "a constant that a test parses")]
fn default_tenant() -> TenantId {
    "default".parse().expect("`default` is a name")
}

/// What one place says: flags, the environment or the file. `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layer {
    /// [`Settings::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// [`Settings::redis_url`].
    pub redis_url: Option<RedisSetting>,
    /// [`Settings::storage_url`].
    pub storage_url: Option<StorageUrl>,
    /// [`Settings::tenant`].
    pub tenant: Option<TenantId>,
    /// [`Settings::concurrency`].
    pub concurrency: Option<usize>,
    /// [`Settings::lease`].
    pub lease: Option<TimeSpan>,
    /// [`Settings::drain`].
    pub drain: Option<TimeSpan>,
    /// [`Settings::retention`].
    pub retention: Option<TimeSpan>,
    /// [`Settings::keep_finished`]; 0 for any number.
    pub keep_finished: Option<u64>,
    /// [`Settings::log`].
    pub log: Option<String>,
    /// [`Settings::log_format`].
    pub log_format: Option<LogFormat>,
    /// [`Settings::limits`]: what is named here, over the defaults. In the file only.
    pub limits: Option<LimitsSetting>,
    /// [`Settings::budgets`]: what is named here, over the defaults. In the file only.
    pub budgets: Option<BudgetsSetting>,
    /// [`Settings::chunk_size`].
    pub chunk_size: Option<ByteSize>,
    /// [`Settings::master_key`] itself: in the environment only, never in a file of settings.
    #[serde(skip)]
    pub master_key: Option<MasterKeys>,
    /// [`Settings::master_key`] as a file.
    pub master_key_file: Option<PathBuf>,
    /// [`Settings::api`]: what is named here, over the defaults.
    pub api: Option<ApiLayer>,
    /// [`Settings::outgoing`]. In the file only.
    pub outgoing: Option<OutgoingLayer>,
    /// [`Settings::models`]: all of them. In the file only.
    pub models: Option<serde_json::Value>,
    /// [`Settings::oidc`]. In the file only.
    pub oidc: Option<BTreeMap<String, OidcLayer>>,
    /// [`Settings::sessions`]. In the file only.
    pub sessions: Option<SessionsLayer>,
    /// [`Settings::environment`].
    pub environment: Option<Environment>,
    /// [`Settings::audit`]: what is named here, over the defaults. In the file only.
    pub audit: Option<AuditLayer>,
    /// [`Settings::alerts`].
    pub alerts: Option<AlertsLayer>,
}

/// A setting is wrong: mend it where the message says.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value makes no sense.
    #[error("{place}: {problem}")]
    Wrong {
        /// The variable, the file, or the setting.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file can't be read.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl ConfigError {
    pub(crate) fn wrong(place: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self::Wrong { place: place.to_string(), problem: problem.to_string() }
    }
}

/// Reads a variable of the environment.
pub type Variables<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "presswork.toml";

impl Settings {
    /// The settings from all four places. `variable` reads the environment; `file` is the one that a flag names.
    /// Blocks for the time of reading a small file.
    ///
    /// # Errors
    /// [`ConfigError`], naming the place.
    pub fn load(flags: Layer, file: Option<PathBuf>, variable: &Variables<'_>) -> Result<Self, ConfigError> {
        let environment = Layer::from_environment(variable)?;
        let named =
            file.or_else(|| variable("PRESSWORK_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
        let file = match named {
            Some(path) => Layer::from_file(&path)?,
            None => match Layer::from_file(Path::new(DEFAULT_FILE)) {
                Err(ConfigError::Unreadable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                    Layer::default()
                }
                read => read?,
            },
        };
        let settings = Self::default().under(file)?.under(environment)?.under(flags)?;
        settings.alerts.check()?;
        Ok(settings)
    }

    /// These settings, with what a layer says put over them.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] where a value is out of bounds.
    pub fn under(self, layer: Layer) -> Result<Self, ConfigError> {
        let bounded = |name, span: Option<TimeSpan>, otherwise: Duration, least: u64, most: u64| {
            let span = span.map_or(otherwise, |span| span.0);
            let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
            if (least..=most).contains(&span) {
                return Ok(span);
            }
            let (least, most) = (TimeSpan(least), TimeSpan(most));
            Err(ConfigError::wrong(name, format_args!("{} is not from {least} to {most}", TimeSpan(span))))
        };
        let data_dir = layer.data_dir.unwrap_or(self.data_dir);
        if data_dir.as_os_str().is_empty() {
            return Err(ConfigError::wrong("data_dir", "it is empty: name a folder, `.` for this one"));
        }
        let concurrency = layer.concurrency.or(self.concurrency);
        if concurrency.is_some_and(|slots| !(1..=MOST_SLOTS).contains(&slots)) {
            return Err(ConfigError::wrong("concurrency", format_args!("choose 1 to {MOST_SLOTS}")));
        }
        let chunk_size = layer.chunk_size.map_or(self.chunk_size as u64, |size| size.0);
        let chunk_size = usize::try_from(chunk_size).ok().filter(|size| CHUNK_SIZES.contains(size));
        let chunk_size =
            chunk_size.ok_or_else(|| ConfigError::wrong("chunk_size", "choose 256B to 128KiB"))?;
        let master_key = MasterKeySetting::of(layer.master_key, layer.master_key_file)?.or(self.master_key);
        let oidc = match layer.oidc {
            Some(all) => all
                .into_iter()
                .map(|(name, layer)| layer.provider(&name).map(|provider| (name, provider)))
                .collect::<Result<_, _>>()?,
            None => self.oidc,
        };
        let limits = match layer.limits {
            Some(setting) => setting.over(self.limits),
            None => self.limits,
        };
        Ok(Self {
            data_dir,
            redis_url: layer.redis_url.or(self.redis_url),
            storage_url: layer.storage_url.or(self.storage_url),
            tenant: layer.tenant.unwrap_or(self.tenant),
            concurrency,
            lease: bounded("lease", layer.lease, self.lease, 1, 3_600)?,
            drain: bounded("drain", layer.drain, self.drain, 0, 86_400)?,
            retention: bounded("retention", layer.retention, self.retention, 0, 36_500 * 86_400)?,
            keep_finished: layer.keep_finished.map_or(self.keep_finished, |most| (most > 0).then_some(most)),
            log: layer.log.or(self.log),
            log_format: layer.log_format.or(self.log_format),
            limits,
            budgets: layer.budgets.unwrap_or_default().over(self.budgets),
            chunk_size,
            master_key,
            api: self.api.under(layer.api.unwrap_or_default()),
            outgoing: layer.outgoing.unwrap_or_default().over(self.outgoing),
            models: layer.models.or(self.models),
            oidc,
            sessions: layer.sessions.unwrap_or_default().over(self.sessions)?,
            environment: layer.environment.unwrap_or(self.environment),
            audit: layer.audit.unwrap_or_default().over(self.audit)?,
            alerts: layer.alerts.unwrap_or_default().over(self.alerts)?,
        })
    }
}

impl Settings {
    /// These settings, with what is said of the API put over them.
    #[must_use]
    pub fn api_under(self, layer: ApiLayer) -> Self {
        Self { api: self.api.clone().under(layer), ..self }
    }
}

const MOST_SLOTS: usize = 10_000;
/// What the artifact pipeline takes.
const CHUNK_SIZES: std::ops::RangeInclusive<usize> = 256..=128 << 10;

/// What a variable says; an empty one says nothing.
fn parse<T: FromStr<Err: fmt::Display>>(
    variable: &Variables<'_>,
    name: &str,
) -> Result<Option<T>, ConfigError> {
    let Some(text) = variable(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.to_str().ok_or_else(|| ConfigError::wrong(name, "not UTF-8"))?;
    text.parse().map(Some).map_err(|problem| ConfigError::wrong(name, problem))
}

impl Layer {
    /// What the environment says. An empty variable says nothing.
    fn from_environment(variable: &Variables<'_>) -> Result<Self, ConfigError> {
        let path = |name: &str| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self {
            data_dir: path("PRESSWORK_DATA_DIR"),
            redis_url: parse(variable, "PRESSWORK_REDIS_URL")?,
            storage_url: parse(variable, "PRESSWORK_STORAGE_URL")?,
            tenant: parse(variable, "PRESSWORK_TENANT")?,
            concurrency: parse(variable, "PRESSWORK_CONCURRENCY")?,
            lease: parse(variable, "PRESSWORK_LEASE")?,
            drain: parse(variable, "PRESSWORK_DRAIN")?,
            retention: parse(variable, "PRESSWORK_RETENTION")?,
            keep_finished: parse(variable, "PRESSWORK_KEEP_FINISHED")?,
            log: parse(variable, "PRESSWORK_LOG")?,
            log_format: parse(variable, "PRESSWORK_LOG_FORMAT")?,
            limits: None,
            budgets: None,
            chunk_size: parse(variable, "PRESSWORK_CHUNK_SIZE")?,
            master_key: parse(variable, "PRESSWORK_MASTER_KEY")?,
            master_key_file: path("PRESSWORK_MASTER_KEY_FILE"),
            outgoing: None,
            models: None,
            oidc: None,
            sessions: None,
            api: Some(ApiLayer::from_environment(variable)?),
            environment: parse(variable, "PRESSWORK_ENV")?,
            audit: None,
            alerts: AlertsLayer::from_environment(variable)?,
        })
    }

    fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), cause };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        toml::from_str(&text).map_err(|error| ConfigError::wrong(path.display(), told(&text, &error)))
    }
}

/// What is wrong with the file. toml's own words show the line; not where a password or a key may be in it.
fn told(text: &str, error: &toml::de::Error) -> String {
    let begun = error.span().map_or(text.len(), |span| span.start.min(text.len()));
    let number = text.bytes().take(begun).filter(|byte| *byte == b'\n').count();
    // The neighbours as well: what has no end is noticed on the next line.
    let mut near = text.lines().skip(number.saturating_sub(1)).take(3);
    if near.any(|line| ["redis_url", "://", "master", "secret"].iter().any(|secret| line.contains(secret))) {
        return format!("line {}: {}", number + 1, error.message());
    }
    error.to_string().trim_end().to_owned()
}
