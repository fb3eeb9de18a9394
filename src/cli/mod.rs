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

mod app;
mod artifacts;
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
mod schedules;
mod show;
mod stats;
mod submit;
mod tenants;
mod up;
mod watch;
mod why;

use std::{ffi::OsString, process::ExitCode, sync::Arc, time::Duration};

use clap::FromArgMatches as _;

pub use app::App;
pub use artifacts::save_artifact;
pub use choice::one_of;
pub use command::Command;
pub use error::{CliError, ErrorKind};
pub use output::Output;
pub use show::size;
pub use submit::{Door, Submit};

use self::{command::Entry, flags::Flags, submit::Submitter};
use crate::{
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
}

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    a job that was waited for ended dead or cancelled
  2    wrong usage: a flag, a name, a payload or a setting is wrong
  3    unavailable: the data directory or the Redis can't be used, a limit is reached, or a time has passed; try again later
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
        match program.run(&matches, variables) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => report(&error, is_json),
        }
    }

    /// All commands, and what clap has to know of them.
    fn assemble(self) -> (Program, clap::Command) {
        let Self { name, version, registry, submitters, commands: own } = self;
        let mut commands = vec![
            Entry::of::<up::Up>(),
            enqueue::entry(submitters),
            Entry::of::<watch::Watch>(),
            Entry::of::<jobs::Jobs>(),
            Entry::of::<batches::Batches>(),
            Entry::of::<artifacts::Artifacts>(),
            Entry::of::<schedules::Schedules>(),
            Entry::of::<tenants::Tenants>(),
            Entry::of::<limits::Limits>(),
            Entry::of::<keys::Keys>(),
            Entry::of::<kinds::Kinds>(),
            Entry::of::<pause::Pause>(),
            Entry::of::<pause::Resume>(),
            Entry::of::<stats::StatsCommand>(),
            Entry::of::<doctor::Doctor>(),
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
        (Program { name, version, registry, commands }, clap)
    }
}

/// A program with all its commands.
struct Program {
    name: String,
    version: String,
    registry: Registry,
    commands: Vec<Entry>,
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
            output: Output::standard(is_json),
        };
        let running = (entry.run)(matches, &app).map_err(CliError::usage)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
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

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{
        domain::{Failure, KindName},
        worker::Context,
    };

    #[derive(Serialize, Deserialize)]
    struct Print {
        pages: u32,
    }

    impl Kind for Print {
        const NAME: KindName = KindName::literal("print");
        type Output = u32;
        async fn run(self, _: Context) -> Result<u32, Failure> {
            Ok(self.pages)
        }
    }

    #[derive(clap::Args)]
    struct PrintArguments {
        #[arg(long)]
        pages: u32,
    }

    impl Submit for Print {
        const ABOUT: &'static str = "Prints";
        type Arguments = PrintArguments;
        async fn prepare(arguments: PrintArguments, _: &Door) -> Result<Self, CliError> {
            Ok(Self { pages: arguments.pages })
        }
    }

    struct Hello;

    impl Command for Hello {
        const NAME: &'static str = "hello";
        const ABOUT: &'static str = "Greets";
        type Arguments = PrintArguments;
        async fn run(_: PrintArguments, _: &App) -> Result<(), CliError> {
            Ok(())
        }
    }

    fn cli() -> Cli {
        Cli::new("app", "1.2.3").register::<Print>().submits::<Print>().command::<Hello>()
    }

    fn parse(line: &str) -> Result<clap::ArgMatches, clap::Error> {
        cli().assemble().1.try_get_matches_from(line.split(' '))
    }

    #[test]
    fn clap_finds_nothing_wrong_with_the_commands() {
        cli().assemble().1.debug_assert();
        Cli::new("app", "1").register::<Print>().assemble().1.debug_assert();
    }

    #[test]
    fn what_the_handbook_types_is_understood() {
        for line in [
            "app up --concurrency 2 --data-dir /x",
            "app enqueue print --pages 3 --wait --priority low --tenant acme",
            "app enqueue print --pages 3 --delay 10m --idempotency-key a",
            "app enqueue print --pages 3 --after job_01kanp6f5rwe9b4p0e4y0m8sjg --after job_01kanp6f5rwe9b4p0e4y0m8sjh",
            "app enqueue print --pages 3 --after job_01kanp6f5rwe9b4p0e4y0m8sjg,job_01kanp6f5rwe9b4p0e4y0m8sjh",
            "app enqueue print --pages 3 --unique book --unique-window unfinished",
            "app enqueue print --pages 3 --batch batch_01kanp6f5rwe9b4p0e4y0m8sjg",
            "app batches open --size 3",
            "app batches open --size 3 --callback print --payload {} --id batch_01kanp6f5rwe9b4p0e4y0m8sjg",
            "app enqueue print --pages 3 --at 2026-11-22T08:30:00Z",
            "app watch job_01kanp6f5rwe9b4p0e4y0m8sjg --json",
            "app jobs list --state dead --kind print --limit 5",
            "app jobs retry --all-dead",
            "app jobs wait job_01kanp6f5rwe9b4p0e4y0m8sjg --timeout 10m",
            "app jobs cancel job_01kanp6f5rwe9b4p0e4y0m8sjg job_01kanp6f5rwe9b4p0e4y0m8sjh",
            "app artifacts get job_01kanp6f5rwe9b4p0e4y0m8sjg book.epub -o x.epub --force",
            "app tenants set acme --limit export=20/min:5 --weight 2 --max-running 8 --max-waiting none",
            "app jobs why job_01kanp6f5rwe9b4p0e4y0m8sjg",
            "app tenants set acme --seal on",
            "app keys list --tenant acme --master-key-file keys",
            "app keys rotate",
            "app keys rewrap --json",
            "app batches show batch_01kanp6f5rwe9b4p0e4y0m8sjg --json",
            "app kinds show export",
            "app kinds set export --max-running 4",
            "app kinds set export --max-running none",
            "app schedules set nightly --kind print --cron @daily --zone Europe/Berlin --jitter 5m --catch-up one",
            "app schedules set nightly --kind print --cron @daily --payload-file plan.json --priority low",
            "app schedules list --tenant acme",
            "app schedules next nightly --count 3",
            "app pause --everything",
            "app resume --tenant acme",
            "app stats --json",
            "app completion bash",
            "app hello --pages 1 --log presswork=debug,warn",
        ] {
            let matches = parse(line);
            assert!(matches.is_ok(), "{line}: {}", matches.unwrap_err());
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "app",
            "app nothing",
            "app enqueue other --payload {}",
            "app enqueue print --pages 3 --delay 10m --at 2026-11-22T08:30:00Z",
            "app enqueue print --pages 3 --priority huge",
            "app enqueue print --pages 3 --after batch_01kanp6f5rwe9b4p0e4y0m8sjg",
            "app enqueue print --pages 3 --unique-window waiting",
            "app batches open",
            "app batches open --size 3 --callback print",
            "app batches open --size 3 --payload {}",
            "app watch 17",
            "app up --concurrency many",
            "app jobs why",
            "app jobs why batch_01kanp6f5rwe9b4p0e4y0m8sjg",
            "app batches show job_01kanp6f5rwe9b4p0e4y0m8sjg",
            "app kinds show",
            "app jobs retry",
            "app jobs retry --all-dead job_01kanp6f5rwe9b4p0e4y0m8sjg",
            "app tenants set acme --limit export=20",
            "app tenants set acme --seal maybe",
            "app keys",
            "app up --tenant ../x",
            "app schedules set nightly --kind print",
            "app schedules set ../x --kind print --cron @daily",
            "app schedules set nightly --kind print --cron @daily --catch-up some",
            "app schedules set nightly --kind print --cron @daily --payload {} --payload-file x",
        ] {
            assert!(parse(line).is_err_and(|error| error.use_stderr()), "{line}");
        }
    }

    #[test]
    fn a_redis_url_that_is_none_is_refused_without_being_shown() {
        let line = "app --redis-url redis://:hunter2@host:99999 stats";
        let flags = Flags::from_arg_matches(&parse(line).unwrap()).unwrap();
        let error = flags.layer().unwrap_err().to_string();
        assert!(error.starts_with("--redis-url: ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn global_flags_may_stand_before_and_after_the_command() {
        for line in ["app --tenant acme --json stats", "app stats --tenant acme --json"] {
            let flags = Flags::from_arg_matches(&parse(line).unwrap()).unwrap();
            assert!(flags.json && flags.tenant.unwrap().as_str() == "acme", "{line}");
        }
    }
}
