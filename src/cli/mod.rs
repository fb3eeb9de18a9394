//! The command line: an app's `main` registers its kinds with [`Cli`] and runs it. Owns: flags, results, exit codes; one
//! file a command. Must not know: any kind, any engine.
//!
//! ```no_run
//! use std::process::ExitCode;
//! use presswork::Cli;
//!
//! fn main() -> ExitCode {
//!     Cli::new("my-app", env!("CARGO_PKG_VERSION")).run()
//! }
//! ```

mod api;
mod apikeys;
mod app;
mod artifacts;
mod audit;
mod batches;
mod choice;
mod command;
mod completion;
mod doctor;
mod enqueue;
mod error;
mod flags;
mod follow;
mod jobs;
mod keys;
mod kinds;
mod limits;
mod output;
mod pause;
mod save;
mod schedules;
mod secrets;
mod show;
mod spending;
#[cfg(test)]
mod stage;
mod stats;
mod submit;
mod tenants;
#[cfg(test)]
mod tests;
mod up;
mod users;
mod verify;
mod watch;
mod why;

use std::{ffi::OsString, process::ExitCode, sync::Arc, time::Duration};

use clap::FromArgMatches as _;

pub use app::App;
pub use choice::one_of;
pub use command::Command;
pub use error::{CliError, ErrorKind};
pub use output::Output;
pub use save::save_artifact;
pub use show::size;
pub use submit::{Door, Submit};

use self::{command::Entry, flags::Flags, submit::Submitter};
use crate::{
    api::Routes,
    config::{LogFormat, Settings, Variables},
    telemetry,
    worker::{Kind, Registry},
};

/// A program that has Presswork's commands and an app's own kinds.
pub struct Cli {
    name: String,
    version: String,
    registry: Registry,
    submitters: Vec<Submitter>,
    commands: Vec<Entry>,
    routes: Vec<fn() -> Routes>,
}

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    a job that was waited for ended dead or cancelled
  2    wrong usage: a flag, a name, a payload or a setting is wrong
  3    unavailable: the data directory or the Redis can't be used, a limit is reached, or a time has passed; try again later
  4    insecure: `verify` found something critical, or `up` or `api` would start with it in production
  130  ctrl-c: watching was stopped, the job goes on; or, the second time, `up` at once

Settings: a flag goes before the environment (PRESSWORK_DATA_DIR for --data-dir and so on), which goes before
presswork.toml (data_dir), which goes before the default. Results go to standard output, all else to standard error.";

impl Cli {
    /// A program of this name and version, without kinds.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let registry = Registry::new();
        Self {
            name: name.into(),
            version: version.into(),
            registry,
            submitters: Vec::new(),
            commands: Vec::new(),
            routes: Vec::new(),
        }
    }

    /// Adds a kind: its jobs can be run by `up` and enqueued with their payload as JSON.
    #[must_use]
    pub fn register<K: Kind>(mut self) -> Self {
        self.registry = self.registry.register::<K>();
        self.submitter(Submitter::of_json::<K>())
    }

    /// Gives `enqueue` a kind's own arguments.
    #[must_use]
    pub fn submits<S: Submit>(self) -> Self {
        self.submitter(Submitter::of::<S>())
    }

    /// Adds a command.
    #[must_use]
    pub fn command<C: Command>(mut self) -> Self {
        self.commands.push(Entry::of::<C>());
        self
    }

    /// Adds routes to the HTTP API, with their part of its OpenAPI document.
    #[must_use]
    pub fn routes(mut self, routes: fn() -> Routes) -> Self {
        self.routes.push(routes);
        self
    }

    /// Reads the process's arguments and environment, runs the command and answers what `main` should end with. Starts
    /// a tokio runtime and the logs: call it once, outside of both.
    pub fn run(self) -> ExitCode {
        self.run_with(std::env::args_os(), &|name| std::env::var_os(name))
    }

    fn submitter(mut self, submitter: Submitter) -> Self {
        self.submitters.retain(|known| known.kind != submitter.kind);
        self.submitters.push(submitter);
        self
    }

    fn run_with(self, arguments: impl Iterator<Item = OsString>, variables: &Variables<'_>) -> ExitCode {
        let arguments: Vec<OsString> = arguments.collect();
        let is_json = arguments.iter().any(|argument| argument == "--json");
        let (program, clap) = self.assemble();
        let matches = match clap.try_get_matches_from(arguments) {
            Ok(matches) => matches,
            Err(error) => return refuse_arguments(&error, is_json),
        };
        let ended = program.run(&matches, variables);
        telemetry::flush();
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => report(&error, is_json),
        }
    }

    /// All commands, and what clap has to know of them.
    fn assemble(self) -> (Program, clap::Command) {
        let Self { name, version, registry, submitters, commands: own, routes } = self;
        let mut commands = vec![
            Entry::of::<up::Up>(),
            Entry::of::<api::ApiCommand>(),
            enqueue::entry(submitters),
            Entry::of::<watch::Watch>(),
            Entry::of::<jobs::Jobs>(),
            Entry::of::<batches::Batches>(),
            Entry::of::<artifacts::Artifacts>(),
            Entry::of::<schedules::Schedules>(),
            Entry::of::<tenants::Tenants>(),
            Entry::of::<limits::Limits>(),
            Entry::of::<spending::SpendingCommand>(),
            Entry::of::<keys::Keys>(),
            Entry::of::<apikeys::ApiKeysCommand>(),
            Entry::of::<secrets::Secrets>(),
            Entry::of::<users::Users>(),
            Entry::of::<kinds::Kinds>(),
            Entry::of::<pause::Pause>(),
            Entry::of::<pause::Resume>(),
            Entry::of::<stats::StatsCommand>(),
            Entry::of::<audit::AuditCommand>(),
            Entry::of::<doctor::Doctor>(),
            Entry::of::<verify::Verify>(),
        ];
        commands.extend(own);
        // The flags first: what describes them would else describe the program.
        let clap = <Flags as clap::Args>::augment_args(clap::Command::new(name.clone()))
            .version(version.clone())
            .about("Runs long jobs for many tenants: fairly, durably, with progress")
            .after_help(EXIT_CODES)
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommands(commands.iter().map(|entry| entry.command.clone()));
        // Completion needs to know all the others.
        let completion = completion::entry(clap.clone());
        let clap = clap.subcommand(completion.command.clone());
        commands.push(completion);
        (Program { name, version, registry, commands, routes }, clap)
    }
}

/// A program with all its commands.
struct Program {
    name: String,
    version: String,
    registry: Registry,
    commands: Vec<Entry>,
    routes: Vec<fn() -> Routes>,
}

impl Program {
    fn run(self, matches: &clap::ArgMatches, variables: &Variables<'_>) -> Result<(), CliError> {
        let flags = Flags::from_arg_matches(matches).map_err(CliError::usage)?;
        let (is_json, named_tenant, file) = (flags.json, flags.tenant.clone(), flags.config.clone());
        let settings = Settings::load(flags.layer()?, file, variables)?;
        let chosen = matches.subcommand().and_then(|(name, matches)| {
            let entry = self.commands.iter().find(|entry| entry.name() == name)?;
            Some((entry, matches))
        });
        let (entry, matches) = chosen.ok_or_else(|| CliError::usage("there is no such command"))?;
        let format = if is_json { LogFormat::Json } else { LogFormat::Text };
        telemetry::start(
            settings.log.as_deref().unwrap_or(entry.log),
            settings.log_format.unwrap_or(format),
        )?;
        let app = App {
            name: self.name,
            version: self.version,
            settings,
            named_tenant,
            registry: Arc::new(self.registry),
            routes: self.routes,
            output: Output::standard(is_json),
        };
        let running = (entry.run)(matches, &app).map_err(CliError::usage)?;
        // An attempt that writes an artifact keeps two threads that may block for as long as it runs, and what they wait for
        // needs others.
        let threads = 512 + 3 * app.settings.concurrency.unwrap_or(0);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().max_blocking_threads(threads).enable_all().build();
        let runtime =
            runtime.map_err(|error| CliError::unavailable(format_args!("no threads to run on: {error}")))?;
        let ended = runtime.block_on(running);
        // A thread that reads standard input would hold up the end for ever.
        runtime.shutdown_timeout(Duration::from_secs(2));
        ended
    }
}

/// Help and version are results; everything else that clap stops at is wrong usage.
fn refuse_arguments(error: &clap::Error, is_json: bool) -> ExitCode {
    if !error.use_stderr() {
        // Whoever reads it may have gone.
        drop(error.print());
        return ExitCode::SUCCESS;
    }
    // Without colours: what was typed is in it, and may hold what drives a terminal.
    let text = error.render().to_string();
    let text = text.trim();
    if is_json {
        return report(&CliError::usage(text.strip_prefix("error: ").unwrap_or(text)), true);
    }
    output::complain(text, LogFormat::Text);
    ErrorKind::Usage.exit_code().into()
}

fn report(error: &CliError, is_json: bool) -> ExitCode {
    if error.kind() != ErrorKind::OutputClosed {
        let text = if is_json { error.to_json() } else { error.to_text() };
        output::complain(&text, if is_json { LogFormat::Json } else { LogFormat::Text });
    }
    error.exit_code()
}
