//! The program `presswork`: registers the job kinds and hands over to the engine's command line. An app with kinds of
//! its own writes one like it.

// The futures of kinds that ask models go deep.
#![recursion_limit = "256"]

use std::process::ExitCode;

use presswork::Cli;
use presswork_jobs::{
    Bench, CharactersCommand, Demo,
    export::Export,
    generation::{
        Generate,
        steps::{CharacterSheet, Continuation, Rewrite, Synopsis, WriteChapter, WriteOutline},
    },
    import::{Import, ImportCharacters},
};

fn main() -> ExitCode {
    Cli::new("presswork", env!("CARGO_PKG_VERSION"))
        .register::<Import>()
        .register::<ImportCharacters>()
        .register::<Export>()
        .register::<Generate>()
        .register::<WriteOutline>()
        .register::<WriteChapter>()
        .register::<Rewrite>()
        .register::<Continuation>()
        .register::<CharacterSheet>()
        .register::<Synopsis>()
        .submits::<Import>()
        .submits::<ImportCharacters>()
        .submits::<Export>()
        .submits::<Generate>()
        .submits::<WriteOutline>()
        .submits::<WriteChapter>()
        .submits::<Rewrite>()
        .submits::<Continuation>()
        .submits::<CharacterSheet>()
        .submits::<Synopsis>()
        .routes(presswork_jobs::api::routes)
        .command::<CharactersCommand>()
        .command::<Demo>()
        .command::<Bench>()
        .run()
}
