//! A command: [`Command`] is what one implements, [`Entry`] what the program keeps of it. Must not know: any single
//! command.

use clap::{ArgMatches, Args, FromArgMatches};
use futures_util::{FutureExt as _, future::BoxFuture};

use super::{app::App, error::CliError};

/// A command of the program: an app's own are registered with [`Cli::command`](super::Cli::command).
pub trait Command: 'static {
    /// What users type.
    const NAME: &'static str;
    /// What it does, in a line of help.
    const ABOUT: &'static str;
    /// Which logs are shown unless the user says.
    const LOG: &'static str = "warn";
    /// Its flags and arguments. The names `data_dir`, `tenant`, `config`, `log`, `log_format` and `json` are taken.
    type Arguments: Args + Send;

    /// Runs it. Results go to [`App::output`].
    ///
    /// # Errors
    /// How it ended; the kind decides the exit code.
    fn run(arguments: Self::Arguments, app: &App) -> impl Future<Output = Result<(), CliError>> + Send;
}

/// A command at work.
pub(super) type Running<'a> = BoxFuture<'a, Result<(), CliError>>;

type Run = Box<dyn for<'a> Fn(&ArgMatches, &'a App) -> Result<Running<'a>, clap::Error>>;

/// What the program keeps of a command.
pub(super) struct Entry {
    pub(super) command: clap::Command,
    pub(super) log: &'static str,
    pub(super) run: Run,
}

impl Entry {
    pub(super) fn of<C: Command>() -> Self {
        // The arguments first: a doc comment on their type would else describe the command.
        let command =
            C::Arguments::augment_args(clap::Command::new(C::NAME)).about(C::ABOUT).long_about(None::<&str>);
        Self { command, log: C::LOG, run: Box::new(start::<C>) }
    }

    pub(super) fn name(&self) -> &str {
        self.command.get_name()
    }
}

fn start<'a, C: Command>(matches: &ArgMatches, app: &'a App) -> Result<Running<'a>, clap::Error> {
    let arguments = C::Arguments::from_arg_matches(matches)?;
    Ok(C::run(arguments, app).boxed())
}
