//! `doctor`: whether the data directory is sound, the audit log, the storage, and the Redis, where there is one.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::{
    app::{App, blocking, no_data_directory},
    command::Command,
    error::CliError,
    pause, show,
};
use crate::{
    artifact::{CREDENTIALS, Storage},
    engine::{Engine, SharedHealth},
    security::{Health as KeysHealth, audit::Verdict},
    store::{
        breaker::Health as StoreHealth,
        redis::{Finding, Severity},
    },
};

pub(super) struct Doctor;

#[derive(Args)]
pub(super) struct DoctorArguments {}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    /// Works, and should be looked at.
    Warning,
    /// Does not work.
    Bad,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    health: Health,
    detail: String,
}

impl Check {
    fn new(name: &'static str, health: Health, detail: impl Into<String>) -> Self {
        Self { name, health, detail: detail.into() }
    }
}

#[derive(Serialize)]
struct Document {
    version: String,
    sqlite: &'static str,
    checks: Vec<Check>,
}

/// Less free space than this is worth a word: the journal alone may need some hundred megabytes.
const LITTLE_SPACE: u64 = 1 << 30;
const NO_SPACE: u64 = 16 << 20;

impl Command for Doctor {
    const NAME: &'static str = "doctor";
    const ABOUT: &'static str = "Checks the data directory, the Redis and the storage: permissions, space, integrity, versions, settings that could lose jobs";
    type Arguments = DoctorArguments;

    async fn run(_: DoctorArguments, app: &App) -> Result<(), CliError> {
        let folder = app.settings().data_dir.clone();
        let looked = folder.clone();
        let mut checks = blocking(move || look_at(&looked)).await?;
        let on_redis = app.settings().redis_url.is_some();
        if checks.is_empty() && !on_redis {
            return Err(no_data_directory(app.name(), &folder));
        }
        match app.existing_engine().await {
            Ok(engine) => checks.append(&mut examine(&engine).await?),
            Err(error) => {
                // Which part of the engine it was: a storage fails the same way by itself.
                let url = app.settings().storage_url.clone();
                checks.push(match blocking(move || url.as_ref().map(Storage::open).transpose()).await? {
                    Err(error) => Check::new("storage", Health::Bad, format!("{error}\n{CREDENTIALS}")),
                    Ok(_) => {
                        let name = if on_redis { "redis" } else { "database" };
                        Check::new(name, Health::Bad, error.to_string())
                    }
                });
            }
        }
        let sqlite = Engine::sqlite_version();
        app.output().line(format_args!(
            "{} {}, SQLite {sqlite}, {}",
            app.name(),
            app.version(),
            folder.display()
        ))?;
        for Check { name, health, detail } in &checks {
            let word = match health {
                Health::Ok => "ok",
                Health::Warning => "warning",
                Health::Bad => "BAD",
            };
            app.output().line(format_args!("{word:<8} {name:<12} {detail}"))?;
        }
        let bad: Vec<&str> =
            checks.iter().filter(|check| check.health == Health::Bad).map(|check| check.name).collect();
        let bad = (!bad.is_empty()).then(|| bad.join(", "));
        app.output().document(&Document { version: app.version().to_owned(), sqlite, checks })?;
        match bad {
            None => Ok(()),
            Some(bad) => Err(CliError::unavailable(format_args!("not sound: {bad}"))
                .hint("the handbook's chapter on troubleshooting says what to do")),
        }
    }
}

/// What can be seen from outside; nothing where there is no folder.
fn look_at(folder: &Path) -> Vec<Check> {
    let Ok(metadata) = folder.metadata() else { return Vec::new() };
    if !metadata.is_dir() {
        return vec![Check::new("folder", Health::Bad, "it is not a folder")];
    }
    let mut checks = vec![permissions(folder, &metadata), writable(folder)];
    checks.extend(space(folder));
    checks
}

#[cfg(unix)]
fn permissions(folder: &Path, metadata: &std::fs::Metadata) -> Check {
    use std::os::unix::fs::PermissionsExt as _;
    let open = |mode: u32| mode & 0o077 != 0;
    let database = folder.join("presswork.db").metadata().map_or(0, |metadata| metadata.permissions().mode());
    let mode = metadata.permissions().mode();
    if open(mode) || open(database) {
        let detail =
            format!("others can look inside (mode {:o}): chmod -R go= {}", mode & 0o777, folder.display());
        return Check::new("permissions", Health::Warning, detail);
    }
    Check::new("permissions", Health::Ok, "only its owner can look inside")
}

#[cfg(not(unix))]
fn permissions(_: &Path, _: &std::fs::Metadata) -> Check {
    Check::new("permissions", Health::Warning, "not checked on this system")
}

fn writable(folder: &Path) -> Check {
    match tempfile::tempfile_in(folder) {
        Ok(_) => Check::new("writing", Health::Ok, "files can be made"),
        Err(error) => Check::new("writing", Health::Bad, error.to_string()),
    }
}

#[cfg(unix)]
fn space(folder: &Path) -> Option<Check> {
    let found = rustix::fs::statvfs(folder).ok()?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let health = match free {
        0..NO_SPACE => Health::Bad,
        NO_SPACE..LITTLE_SPACE => Health::Warning,
        _ => Health::Ok,
    };
    Some(Check::new("space", health, format!("{} free", show::size(free))))
}

#[cfg(not(unix))]
fn space(_: &Path) -> Option<Check> {
    None
}

/// What the engine finds.
async fn examine(engine: &Engine) -> Result<Vec<Check>, CliError> {
    let mut checks = match engine.check_redis().await? {
        Some(findings) => redis(&findings),
        None => vec![integrity(&engine.check().await?)],
    };
    if let Some(health) = engine.check_shared().await {
        checks.extend(shared(&health));
    }
    checks.push(match engine.check_storage().await {
        Ok(()) => Check::new("storage", Health::Ok, "objects can be stored, read and removed"),
        Err(problem) => Check::new("storage", Health::Bad, problem),
    });
    checks.push(keys(&engine.keyring.health().await?));
    checks.push(audit(engine).await?);
    let paused = engine.queue.paused().await?;
    let pauses = if paused.is_empty() {
        Check::new("pauses", Health::Ok, "nothing is paused")
    } else {
        Check::new("pauses", Health::Warning, format!("paused: {}", pause::words(&paused)))
    };
    checks.push(pauses);
    Ok(checks)
}

/// The audit log of this node: whether it can be added to, and all of it is as it was written.
async fn audit(engine: &Engine) -> Result<Check, CliError> {
    let log = engine.audit.clone();
    let bad = |problem: String| Check::new("audit", Health::Bad, problem);
    if let Err(error) = blocking(move || log.try_folder()).await? {
        let folder = engine.audit.folder().path().display();
        return Ok(bad(format!("{folder} can't be written, so administrative changes are refused: {error}")));
    }
    Ok(match engine.audit.check().await {
        Err(error) => bad(error.to_string()),
        Ok(verdict) => told(&verdict),
    })
}

fn told(Verdict { whole, entries, breaks, lost, signed_until, .. }: &Verdict) -> Check {
    if !whole {
        let detail = format!("broken in {breaks} places: `audit verify` says where");
        return Check::new("audit", Health::Bad, detail);
    }
    let signed = signed_until.map_or_else(String::new, |seq| format!(", signed up to {seq}"));
    let detail = format!("{entries} entries, as they were written{signed}");
    match lost {
        0 => Check::new("audit", Health::Ok, detail),
        lost => Check::new(
            "audit",
            Health::Warning,
            format!("{detail}; {lost} were lost while it could not be written"),
        ),
    }
}

fn shared(SharedHealth { limits, cache, hears }: &SharedHealth) -> [Check; 2] {
    let away = |name, cause: &str, instead: &str| {
        Check::new(name, Health::Warning, format!("away, {instead}: {cause}"))
    };
    let limits = match limits {
        StoreHealth::Well => Check::new("limits", Health::Ok, "they hold across the fleet"),
        StoreHealth::Away { cause, .. } => away("limits", cause, "each process counts alone"),
    };
    let cache = match cache {
        StoreHealth::Well if *hears => Check::new("cache", Health::Ok, "shared, and invalidations are heard"),
        StoreHealth::Well => {
            let detail = "invalidations are not heard: allow the user +ssubscribe and the channels &*";
            Check::new("cache", Health::Warning, detail)
        }
        StoreHealth::Away { cause, .. } => away("cache", cause, "each process has its memory alone"),
    };
    [limits, cache]
}

fn keys(KeysHealth { masters, made, sealing, keys, missing }: &KeysHealth) -> Check {
    let count = format!("{sealing} tenants seal, {keys} data keys");
    if !missing.is_empty() {
        let ids: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let ids = ids.join(", ");
        let detail = if masters.is_empty() {
            format!(
                "{count}, and no master key here: give {ids} by PRESSWORK_MASTER_KEY or --master-key-file"
            )
        } else {
            format!(
                "{count}; some are under master keys that are not here: give {ids} as well, behind the newest"
            )
        };
        return Check::new("keys", Health::Bad, detail);
    }
    match (masters.is_empty(), *made) {
        (true, _) if *sealing == 0 => {
            Check::new("keys", Health::Ok, "no tenant seals, and there is no master key")
        }
        (true, _) => Check::new("keys", Health::Bad, format!("{count}, and no master key here")),
        (false, true) => {
            let detail =
                format!("{count}; the master key was made here: keep a copy of master.key in a safe place");
            Check::new("keys", Health::Warning, detail)
        }
        (false, false) => {
            Check::new("keys", Health::Ok, format!("{count}, all under master keys that are here"))
        }
    }
}

fn integrity(problems: &[String]) -> Check {
    if problems.is_empty() {
        return Check::new("integrity", Health::Ok, "the database is whole");
    }
    Check::new("integrity", Health::Bad, format!("{}: restore it from a backup", problems.join("; ")))
}

fn redis(findings: &[Finding]) -> Vec<Check> {
    if findings.is_empty() {
        return vec![Check::new("redis", Health::Ok, "it keeps what it is given")];
    }
    let check = |Finding { severity, server, what, advice }: &Finding| {
        let health = match severity {
            Severity::Warning | Severity::Unknown => Health::Warning,
            Severity::Error => Health::Bad,
        };
        Check::new("redis", health, format!("{server}: {what}: {advice}"))
    };
    findings.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn lost_made_and_missing_master_keys_are_told() {
        let id = "11".repeat(32).parse::<crate::security::MasterKeys>().unwrap().ids();
        let told = |masters: bool, made, sealing, missing: bool| {
            let some = |is: bool| if is { id.clone() } else { Vec::new() };
            let check =
                keys(&KeysHealth { masters: some(masters), made, sealing, keys: 2, missing: some(missing) });
            (check.health, check.detail)
        };
        assert_eq!(told(false, false, 0, false).0, Health::Ok);
        assert_eq!(told(true, false, 2, false).0, Health::Ok);
        let (health, detail) = told(true, true, 2, false);
        assert!(health == Health::Warning && detail.contains("keep a copy of master.key"), "{detail}");
        assert_eq!(told(false, false, 2, false).0, Health::Bad);
        for masters in [false, true] {
            let (health, detail) = told(masters, false, 2, true);
            assert!(health == Health::Bad && detail.contains(&id[0].to_string()), "{detail}");
        }
    }

    #[test]
    fn what_the_fleet_shares_is_told_well_deaf_or_away() {
        let told = |limits: &StoreHealth, cache: &StoreHealth, hears| {
            let health = SharedHealth { limits: limits.clone(), cache: cache.clone(), hears };
            shared(&health).map(|check| (check.health, check.detail))
        };
        let away = StoreHealth::Away { since: Timestamp::EPOCH, cause: "no answer".to_owned() };
        let [limits, cache] = told(&StoreHealth::Well, &StoreHealth::Well, true);
        assert_eq!((limits.0, cache.0), (Health::Ok, Health::Ok));
        let [_, cache] = told(&StoreHealth::Well, &StoreHealth::Well, false);
        assert!(cache.0 == Health::Warning && cache.1.contains("not heard"), "{cache:?}");
        let [limits, cache] = told(&away, &away, false);
        assert_eq!(limits, (Health::Warning, "away, each process counts alone: no answer".to_owned()));
        assert!(cache.0 == Health::Warning && cache.1.ends_with("no answer"), "{cache:?}");
    }
}
