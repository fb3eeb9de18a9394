//! Commands on a data directory of a test's own, and what they print. For tests alone.

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use clap::{Args as _, FromArgMatches as _};

use super::{app::App, command::Command, error::CliError, output::Output};
use crate::{config::Settings, worker::Registry};

/// What was written.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct Stage(tempfile::TempDir);

impl Stage {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Runs a command, its arguments separated by blanks; what it printed on standard output, and how it ended.
    pub(super) async fn run<C: Command>(&self, is_json: bool, line: &str) -> (String, Result<(), CliError>) {
        let command = C::Arguments::augment_args(clap::Command::new(C::NAME).no_binary_name(true));
        let matches = command.try_get_matches_from(line.split(' ')).unwrap();
        let arguments = C::Arguments::from_arg_matches(&matches).unwrap();
        let paper = Paper::default();
        let app = App {
            name: "app".to_owned(),
            version: "1.2.3".to_owned(),
            settings: Settings { data_dir: self.folder().join("data"), ..Settings::default() },
            named_tenant: None,
            registry: Arc::new(Registry::new()),
            routes: Vec::new(),
            output: Output::into_writer(is_json, Box::new(paper.clone())),
        };
        let ended = C::run(arguments, &app).await;
        let printed = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        (printed, ended)
    }

    /// What a command that ends well prints as JSON.
    pub(super) async fn json<C: Command>(&self, line: &str) -> serde_json::Value {
        let (printed, ended) = self.run::<C>(true, line).await;
        ended.unwrap();
        serde_json::from_str(&printed).unwrap()
    }
}
