//! What a command works with: [`App`]. Owns: the way from settings to an engine and a worker. Must not know: any
//! single command.

use std::{path::Path, sync::Arc, time::Duration};

use super::{
    error::{CliError, ErrorKind},
    output::Output,
};
use crate::{
    config::Settings,
    domain::{Random, SystemRandom, TenantId, WorkerId},
    engine::Engine,
    worker::{Options, Registry, Worker},
};

/// What a command works with.
pub struct App {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) settings: Settings,
    /// The tenant that a flag names, where one does.
    pub(super) named_tenant: Option<TenantId>,
    pub(super) registry: Arc<Registry>,
    /// The HTTP API's, beside its own.
    pub(super) routes: Vec<fn() -> crate::api::Routes>,
    pub(super) output: Output,
}

impl App {
    /// The program's name, for messages that say what to type.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The settings, from all places.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whose jobs the command speaks of.
    pub fn tenant(&self) -> &TenantId {
        &self.settings.tenant
    }

    /// The kinds of the program.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Where results go.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// The engine on the data directory, which is made where there is none.
    ///
    /// # Errors
    /// Where it can't be used: exit code 3.
    pub async fn engine(&self) -> Result<Engine, CliError> {
        self.engine_with(&self.settings).await
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// As [`engine`](Self::engine).
    pub async fn engine_with(&self, settings: &Settings) -> Result<Engine, CliError> {
        Ok(Engine::connect(settings).await?)
    }

    /// The engine on a data directory that is there already: a look into the wrong folder makes no new one. On Redis, the
    /// engine.
    ///
    /// # Errors
    /// As [`engine`](Self::engine), and where there is none.
    pub async fn existing_engine(&self) -> Result<Engine, CliError> {
        if self.settings.redis_url.is_some() {
            return self.engine().await;
        }
        let database = self.settings.data_dir.join("presswork.db");
        // Where it can't be told, opening it says why.
        if tokio::fs::try_exists(&database).await.unwrap_or(true) {
            return self.engine().await;
        }
        Err(no_data_directory(&self.name, &self.settings.data_dir))
    }

    /// Where jobs are kept, for people.
    pub(super) fn place(&self) -> String {
        place(&self.settings)
    }

    /// How a worker of this process works, by the settings.
    pub fn worker_options(&self) -> Options {
        options(&self.settings)
    }

    /// A worker in this process, with all kinds of the program. It does not sweep: see [`Engine::maintain`].
    ///
    /// # Errors
    /// Where there is no kind to work on, or no scratch folder.
    pub async fn worker(&self, engine: &Engine, options: Options) -> Result<Worker, CliError> {
        Ok(Worker::new(engine.parts(self.registry.clone()).await?, options)?)
    }
}

fn place(settings: &Settings) -> String {
    match &settings.redis_url {
        Some(url) => url.to_string(),
        None => format!("the data directory {}", settings.data_dir.display()),
    }
}

pub(super) fn no_data_directory(name: &str, folder: &Path) -> CliError {
    CliError::unavailable(format_args!("there is no data directory {}", folder.display())).hint(format_args!(
        "`{name} up` and `{name} enqueue` make one; name another with --data-dir or PRESSWORK_DATA_DIR"
    ))
}

/// How a worker works, by the settings; its id has the machine's name, the process's number and a random end.
pub(super) fn options(settings: &Settings) -> Options {
    let suffix = SystemRandom.below(1 << 20);
    let id = WorkerId::new(&format!("{}-{}-{suffix:05x}", machine(), std::process::id()));
    let mut options = Options::new(id);
    options.concurrency = settings.concurrency.unwrap_or(options.concurrency);
    options.lease = settings.lease;
    options.beat = options.beat.min(settings.lease / 3).max(Duration::from_millis(10));
    options.drain = settings.drain;
    options
}

#[cfg(unix)]
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn machine() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "machine".to_owned())
}

/// Runs what blocks on a thread that may.
pub(super) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, CliError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| {
        CliError::new(ErrorKind::Bug, format_args!("a thread of the program failed: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_redis_without_its_password_or_the_data_directory() {
        let mut settings = Settings::default();
        assert_eq!(place(&settings), "the data directory presswork-data");
        settings.redis_url = Some("redis://worker:hunter2@host?namespace=books".parse().unwrap());
        assert_eq!(place(&settings), "redis://host:6379 (namespace books, 1 shard)");
    }
}
