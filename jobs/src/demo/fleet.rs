//! Worker processes beside this one, for the demo on Redis: started, heard, stopped. Must not know: what they work on.

use std::process::{ExitStatus, Stdio};

use presswork::{
    cli::{App, CliError},
    config::RedisSetting,
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// How many jobs each process runs at once: few, so that the work is shared.
const SLOTS: &str = "2";

/// What a worker process has done.
#[derive(Debug, Serialize)]
pub(super) struct Share {
    worker: String,
    process: u32,
    completed: u64,
}

impl Share {
    /// For people.
    pub(super) fn words(&self) -> String {
        format!("{} completed {} jobs", self.worker, self.completed)
    }
}

/// What `up --json` tells.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Told {
    Started { worker: String },
    Stopped { completed: u64 },
}

/// Worker processes; killed where they are dropped before they were stopped.
pub(super) struct Fleet(Vec<Member>);

struct Member {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    worker: String,
}

impl Fleet {
    /// Starts so many processes of this program, and waits until they work.
    pub(super) async fn start(count: usize, app: &App, url: &RedisSetting) -> Result<Self, CliError> {
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(Member::start(app, url)?);
        }
        for member in &mut members {
            match member.next().await? {
                Some(Told::Started { worker }) => member.worker = worker,
                _ => return Err(CliError::unavailable("a worker process ended before it worked")),
            }
        }
        Ok(Self(members))
    }

    /// Has them end what they run, and answers what each has done.
    pub(super) async fn stop(self) -> Result<Vec<Share>, CliError> {
        for member in &self.0 {
            member.ask_to_stop()?;
        }
        let mut shares = Vec::new();
        for member in self.0 {
            shares.push(member.ended().await?);
        }
        Ok(shares)
    }
}

impl Member {
    fn start(app: &App, url: &RedisSetting) -> Result<Self, CliError> {
        let failed = |error: std::io::Error| {
            CliError::unavailable(format_args!("a worker process can't be started: {error}"))
        };
        let storage = app.settings().storage_url.as_ref().map(ToString::to_string);
        let mut process = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["up", "--json", "--log", "warn", "--concurrency", SLOTS, "--data-dir"])
            .arg(&app.settings().data_dir)
            // Not as an argument: every process of the machine may read those.
            .env("PRESSWORK_REDIS_URL", url.reveal())
            .envs(storage.map(|url| ("PRESSWORK_STORAGE_URL", url)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let output = process.stdout.take().ok_or_else(|| CliError::unavailable("no way to hear a worker"))?;
        Ok(Self { process, lines: BufReader::new(output).lines(), worker: String::new() })
    }

    async fn next(&mut self) -> Result<Option<Told>, CliError> {
        let line = self.lines.next_line().await;
        let line =
            line.map_err(|error| CliError::unavailable(format_args!("a worker can't be heard: {error}")))?;
        Ok(line.and_then(|line| serde_json::from_str(&line).ok()))
    }

    #[cfg(unix)]
    fn ask_to_stop(&self) -> Result<(), CliError> {
        use rustix::process::{Pid, Signal, kill_process};
        let id = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        match id.map(|id| kill_process(id, Signal::TERM)) {
            Some(Err(error)) => {
                Err(CliError::unavailable(format_args!("a worker process can't be told to stop: {error}")))
            }
            _ => Ok(()),
        }
    }

    #[cfg(not(unix))]
    fn ask_to_stop(&self) -> Result<(), CliError> {
        Err(CliError::unavailable("the demo on Redis needs signals, which this system has not"))
    }

    async fn ended(mut self) -> Result<Share, CliError> {
        let (mut completed, process) = (0, self.process.id().unwrap_or_default());
        while let Some(told) = self.next().await? {
            if let Told::Stopped { completed: count } = told {
                completed = count;
            }
        }
        let status = self.process.wait().await;
        match status.map(|status: ExitStatus| status.success()) {
            Ok(true) => Ok(Share { worker: self.worker, process, completed }),
            _ => Err(CliError::unavailable(format_args!("worker {} did not end well", self.worker))),
        }
    }
}
