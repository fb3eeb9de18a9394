//! How `enqueue` learns a kind's own arguments: [`Submit`], and [`Door`], all that it may touch. Must not know: the queue.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use clap::{ArgMatches, Args, FromArgMatches};
use futures_util::{FutureExt as _, future::BoxFuture};
use object_store::{ObjectStore, prefix::PrefixStore};
use tokio::io::AsyncReadExt as _;

use super::{app::App, error::CliError};
use crate::{
    config::Settings,
    domain::{Clock, JobId, KindName, NewJob, Random, TenantId},
    engine::Engine,
    worker::{Kind, Registry, new_job},
};

/// A kind with arguments of its own on the command line: `presswork enqueue <kind> …`. Kinds without it take their
/// payload as JSON.
pub trait Submit: Kind {
    /// What it does, in a line of help.
    const ABOUT: &'static str;
    /// Its flags and arguments, beside those that all kinds have. Taken are `wait`, `priority`, `delay`, `at`,
    /// `idempotency_key`, `after`, `unique`, `unique_window`, `batch` and those that [all commands](super::Command::Arguments) have.
    type Arguments: Args + Send;

    /// The payload that the arguments mean.
    ///
    /// # Errors
    /// What is wrong with them.
    fn prepare(
        arguments: Self::Arguments,
        door: &Door,
    ) -> impl Future<Output = Result<Self, CliError>> + Send;
}

/// What [`Submit::prepare`] may touch.
pub struct Door {
    job: JobId,
    tenant: TenantId,
    storage: Arc<dyn ObjectStore>,
    engine: Engine,
    settings: Settings,
}

impl Door {
    /// A door for one job of the app's tenant.
    pub fn new(app: &App, engine: &Engine) -> Self {
        let tenant = app.tenant().clone();
        Self {
            job: JobId::new(engine.clock.now(), &*engine.random),
            storage: Arc::new(PrefixStore::new(engine.storage.clone(), tenant.as_str())),
            tenant,
            engine: engine.clone(),
            settings: app.settings().clone(),
        }
    }

    /// The id that the job will have, for naming what is uploaded for it.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Whose job it will be.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The tenant's storage: paths are relative to its root and can't leave it.
    pub fn storage(&self) -> &Arc<dyn ObjectStore> {
        &self.storage
    }

    /// Where the time comes from.
    pub fn clock(&self) -> &dyn Clock {
        &*self.engine.clock
    }

    /// Where randomness comes from.
    pub fn random(&self) -> &dyn Random {
        &*self.engine.random
    }

    /// The settings, from all places.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

type Prepare = for<'a> fn(ArgMatches, &'a Door) -> BoxFuture<'a, Result<NewJob, CliError>>;

/// A kind as `enqueue` knows it.
#[derive(Clone)]
pub(super) struct Submitter {
    pub(super) kind: KindName,
    pub(super) command: clap::Command,
    /// `None` where the payload comes as JSON.
    prepare: Option<Prepare>,
}

#[derive(Args)]
struct JsonPayload {
    /// The payload as JSON; @FILE for a file's content, - for what comes on standard input
    #[arg(long, value_name = "JSON")]
    payload: String,
}

impl Submitter {
    /// A kind whose payload comes as JSON.
    pub(super) fn of_json<K: Kind>() -> Self {
        let name = K::NAME.as_str().to_owned();
        let about = format!("A job of kind {name}, its payload as JSON");
        let command = JsonPayload::augment_args(clap::Command::new(name)).about(about);
        Self { kind: K::NAME, command, prepare: None }
    }

    /// A kind with its own arguments.
    pub(super) fn of<S: Submit>() -> Self {
        // The arguments first: a doc comment on their type would else describe the command.
        let command = S::Arguments::augment_args(clap::Command::new(S::NAME.as_str().to_owned()));
        let command = command.about(S::ABOUT).long_about(None::<&str>);
        Self { kind: S::NAME, command, prepare: Some(prepare::<S>) }
    }

    /// The job that the arguments mean.
    pub(super) async fn job(
        &self,
        registry: &Registry,
        matches: ArgMatches,
        door: &Door,
    ) -> Result<NewJob, CliError> {
        if let Some(prepare) = self.prepare {
            return prepare(matches, door).await;
        }
        let arguments = JsonPayload::from_arg_matches(&matches).map_err(CliError::usage)?;
        let json = read_payload(&arguments.payload).await?;
        Ok(registry.new_job(door.job, door.tenant.clone(), &self.kind, json)?)
    }
}

fn prepare<S: Submit>(matches: ArgMatches, door: &Door) -> BoxFuture<'_, Result<NewJob, CliError>> {
    async move {
        let arguments = S::Arguments::from_arg_matches(&matches).map_err(CliError::usage)?;
        let payload = S::prepare(arguments, door).await?;
        Ok(new_job(door.job, door.tenant.clone(), &payload)?)
    }
    .boxed()
}

/// The payload that a flag means. One byte more than fits is read at most, so that the door can say it is too large.
pub(super) async fn read_payload(given: &str) -> Result<Bytes, CliError> {
    let most = NewJob::MOST_PAYLOAD_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = if given == "-" {
        tokio::io::stdin().take(most).read_to_end(&mut bytes).await
    } else if let Some(path) = given.strip_prefix('@') {
        match tokio::fs::File::open(Path::new(path)).await {
            Ok(file) => file.take(most).read_to_end(&mut bytes).await,
            Err(error) => Err(error),
        }
    } else {
        return Ok(Bytes::copy_from_slice(given.as_bytes()));
    };
    read.map_err(|error| CliError::usage(format_args!("the payload can't be read from {given}: {error}")))?;
    Ok(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_payload_comes_from_the_flag_or_a_file() {
        assert_eq!(read_payload("{\"a\":1}").await.unwrap(), "{\"a\":1}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.json");
        std::fs::write(&path, "[1]").unwrap();
        assert_eq!(read_payload(&format!("@{}", path.display())).await.unwrap(), "[1]");
        let error = read_payload("@/nowhere/p.json").await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/p.json"), "{error}");
    }
}
