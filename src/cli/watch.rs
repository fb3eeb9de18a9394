//! `watch JOB`: a job's events from the first one to the last.

use clap::Args;

use super::{
    app::App,
    command::Command,
    error::CliError,
    follow::{Show, follow},
    show,
};
use crate::domain::JobId;

pub(super) struct Watch;

#[derive(Args)]
pub(super) struct WatchArguments {
    /// The job
    job: JobId,
}

impl Command for Watch {
    const NAME: &'static str = "watch";
    const ABOUT: &'static str = "Follows a job to its end; ctrl-c stops watching, not the job";
    type Arguments = WatchArguments;

    async fn run(arguments: WatchArguments, app: &App) -> Result<(), CliError> {
        let engine = app.existing_engine().await?;
        let job = follow(app, &engine, arguments.job, Show::AsResult).await?;
        show::ended(&job, app.name())
    }
}
