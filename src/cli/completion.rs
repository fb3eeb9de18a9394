//! `completion SHELL`: what a shell needs to complete the commands.

use clap::{Args, FromArgMatches as _};
use clap_complete::Shell;
use futures_util::FutureExt as _;

use super::command::Entry;

#[derive(Args)]
struct CompletionArguments {
    /// The shell
    shell: Shell,
}

/// The command; `program` is all the others.
pub(super) fn entry(program: clap::Command) -> Entry {
    let command =
        clap::Command::new("completion").about("Prints what a shell needs to complete the commands");
    let command = CompletionArguments::augment_args(command);
    Entry {
        command,
        log: "warn",
        run: Box::new(move |matches, app| {
            let CompletionArguments { shell } = CompletionArguments::from_arg_matches(matches)?;
            let mut program = program.clone();
            Ok(async move {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut program, app.name(), &mut script);
                let script = String::from_utf8_lossy(&script);
                app.output().script(&script)
            }
            .boxed())
        }),
    }
}
