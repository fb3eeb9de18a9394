//! Following a job to its end, for commands that wait. Owns: what is shown meanwhile. Must not know: where
//! the job runs; it may be another process.

use std::time::Duration;

use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::sleep;

use super::{
    app::App,
    error::{CliError, ErrorKind},
    output::Output,
    show,
};
use crate::{
    domain::{Event, EventBody, Job, JobId, Progress, State, TenantId},
    engine::Engine,
    progress::ProgressError,
};

/// Once so long nothing has begun, it is time to ask whether there is a worker.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the store may fail in a row.
const MOST_FAILURES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// Where the events of a job are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// They are the result: standard output.
    AsResult,
    /// They are remarks beside it: standard error, and nothing where results are JSON.
    AsRemark,
}

/// Follows a job to its end, from its first event on, and gives back what became of it. Ctrl-c ends the following, not
/// the job.
pub(super) async fn follow(app: &App, engine: &Engine, job: JobId, show: Show) -> Result<Job, CliError> {
    let mut view = View::new(app.output(), show);
    let ended = tokio::select! {
        ended = to_the_end(app, engine, job, &mut view) => ended.and_then(|job| view.made(&job).map(|()| job)),
        _ = tokio::signal::ctrl_c() => {
            let text = format!("stopped watching; the job goes on: `{} watch {job}` shows it again", app.name());
            Err(CliError::new(ErrorKind::Interrupted, text))
        }
    };
    view.clear();
    ended
}

async fn to_the_end(app: &App, engine: &Engine, job: JobId, view: &mut View<'_>) -> Result<Job, CliError> {
    let (mut after, mut failures, mut has_begun) = (0, 0, false);
    loop {
        let events = engine.progress.follow(app.tenant(), job, after).await;
        let mut problem = None;
        match events {
            Err(error @ ProgressError::UnknownJob { .. }) => return Err(unknown_job(app, job, &error)),
            Err(error) => problem = Some(error),
            Ok(mut events) => loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    () = sleep(PATIENCE), if !has_begun => {
                        has_begun = true;
                        view.remark(&format!(
                            "nothing has begun yet: does `{} up` run on {}?",
                            app.name(),
                            app.place()
                        ));
                        continue;
                    }
                };
                match event {
                    None => break,
                    Some(Ok(event)) => {
                        has_begun |= !is_waiting(&event);
                        (after, failures) = (event.sequence, 0);
                        view.event(&event)?;
                    }
                    Some(Err(error)) => {
                        problem = Some(error);
                        break;
                    }
                }
            },
        }
        if let Some(error) = problem {
            failures += 1;
            if failures > MOST_FAILURES {
                return Err(error.into());
            }
            sleep(PAUSE).await;
            continue;
        }
        let found = inspect(engine, app.tenant(), job).await?;
        let found = found.ok_or_else(|| CliError::not_found(format_args!("job {job} has been removed")))?;
        // Somebody may have put it back just after its end.
        if found.state.is_final() {
            return Ok(found);
        }
    }
}

fn is_waiting(event: &Event) -> bool {
    matches!(&event.body, EventBody::State { state: State::Waiting, .. })
}

/// What is known of a job.
pub(super) async fn inspect(engine: &Engine, tenant: &TenantId, job: JobId) -> Result<Option<Job>, CliError> {
    Ok(engine.queue.inspect(tenant, &[job]).await?.into_iter().next().flatten())
}

/// There is no such job, in words that say where was looked.
pub(super) fn unknown_job(app: &App, job: JobId, error: &dyn std::fmt::Display) -> CliError {
    let (tenant, place) = (app.tenant(), app.place());
    CliError::not_found(error).hint(format_args!(
        "looked for {job} of tenant {tenant} on {place}; finished jobs are removed after a while"
    ))
}

/// What is shown of a job while it is followed.
struct View<'a> {
    output: &'a Output,
    show: Show,
    bar: Option<ProgressBar>,
    state: &'static str,
    is_mid_line: bool,
    /// The last line of progress, where there is no bar: per cent and, where nobody knows those, words.
    told: Option<(u32, String)>,
}

impl<'a> View<'a> {
    fn new(output: &'a Output, show: Show) -> Self {
        let draws = match show {
            Show::AsResult => output.is_terminal(),
            Show::AsRemark => output.error_is_terminal(),
        };
        let bar = (draws && !output.is_json()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1_000), ProgressDrawTarget::stderr());
            // A template that can't be read leaves indicatif's own.
            let style = ProgressStyle::with_template("{prefix:9} [{bar:30}] {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { output, show, bar, state: "", is_mid_line: false, told: None }
    }

    fn event(&mut self, event: &Event) -> Result<(), CliError> {
        if self.output.is_json() {
            return match self.show {
                Show::AsResult => self.output.json_line(event),
                Show::AsRemark => Ok(()),
            };
        }
        match &event.body {
            EventBody::State { state, attempt, reason } => {
                self.state = state.name();
                let attempt = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
                if let Some(bar) = &self.bar {
                    bar.set_prefix(self.state);
                    bar.tick();
                    if reason.is_empty() && !state.is_final() {
                        return Ok(());
                    }
                }
                self.say(&format!("{state}{attempt}{reason}"))
            }
            EventBody::Progress(progress) => match &self.bar {
                Some(bar) => {
                    bar.set_position(u64::from(crate::domain::progress::tenths(progress.percent)));
                    bar.set_message(words(progress));
                    Ok(())
                }
                None => self.progress_line(progress),
            },
            EventBody::Text { text } => self.text(text),
        }
    }

    /// A line for each new per cent, not for each report: a log need not be longer than that.
    fn progress_line(&mut self, progress: &Progress) -> Result<(), CliError> {
        let message = if progress.total == 0 { progress.message.clone() } else { String::new() };
        let told = (crate::domain::progress::tenths(progress.percent) / 10, message);
        if self.told.as_ref() == Some(&told) {
            return Ok(());
        }
        self.told = Some(told);
        self.say(&words(progress))
    }

    /// A line of its own.
    fn say(&mut self, line: &str) -> Result<(), CliError> {
        if std::mem::take(&mut self.is_mid_line) {
            self.output.piece("\n")?;
        }
        let write = || match self.show {
            Show::AsResult => self.output.line(line),
            Show::AsRemark => {
                self.output.note(line);
                Ok(())
            }
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// A piece of what the job writes.
    fn text(&mut self, piece: &str) -> Result<(), CliError> {
        if self.show == Show::AsRemark {
            return Ok(());
        }
        self.is_mid_line = !piece.ends_with('\n');
        match &self.bar {
            Some(bar) => bar.suspend(|| self.output.piece(piece)),
            None => self.output.piece(piece),
        }
    }

    /// What a job has made.
    fn made(&mut self, job: &Job) -> Result<(), CliError> {
        if self.output.is_json() {
            return Ok(());
        }
        let Some(made) = &job.output else { return Ok(()) };
        for artifact in &made.artifacts {
            self.say(&format!("{} ({})", artifact.name, show::size(artifact.plain_bytes)))?;
        }
        if made.artifacts.is_empty() && !made.result.is_null() {
            self.say(&format!("result: {}", made.result))?;
        }
        Ok(())
    }

    fn remark(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.output.note(text)),
            None => self.output.note(text),
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// ` 93.3 %  14 of 15  Troubleshooting, 2 s left`.
fn words(progress: &Progress) -> String {
    let Progress { done, total, percent, message, remaining_seconds } = progress;
    let left = remaining_seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    let left = left.map_or_else(String::new, |left| format!(", {} left", show::time(left)));
    if *total == 0 {
        return format!("{done}  {message}{left}");
    }
    format!("{percent:5.1} %  {done} of {total}  {message}{left}")
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::domain::{Reason, Timestamp};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(is_json: bool, bodies: &[EventBody]) -> String {
        let shared = Shared::default();
        let output = Output::into_writer(is_json, Box::new(shared.clone()));
        let mut view = View::new(&output, Show::AsResult);
        for (sequence, body) in (1..).zip(bodies) {
            let tenant = "acme".parse().unwrap();
            let (job, at, body) = (JobId::from_u128(1), Timestamp::EPOCH, body.clone());
            view.event(&Event { tenant, job, sequence, at, body }).unwrap();
        }
        let bytes = shared.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn progress(percent: f64) -> EventBody {
        let message = "on the way".to_owned();
        EventBody::Progress(Progress { done: 1, total: 1_000, percent, message, remaining_seconds: None })
    }

    #[test]
    fn a_line_is_written_for_each_per_cent_and_an_object_for_each_event() {
        let ended =
            EventBody::State { state: State::Dead, attempt: 2, reason: Some(Reason::new("no\u{1b}[2J")) };
        let text = EventBody::Text { text: "once".to_owned() };
        let events = [progress(0.1), progress(0.2), text, progress(1.0), ended];
        let lines =
            "  0.1 %  1 of 1000  on the way\nonce\n  1.0 %  1 of 1000  on the way\ndead, attempt 2: no[2J\n";
        assert_eq!(shown(false, &events), lines);
        let json = shown(true, &events);
        assert_eq!(json.lines().count(), 5);
        let last: Event = serde_json::from_str(json.lines().last().unwrap()).unwrap();
        assert!(last.sequence == 5 && last.body.is_last());
    }

    #[test]
    fn progress_is_told_in_a_line() {
        let mut progress = Progress {
            done: 14,
            total: 15,
            percent: 93.3,
            message: "Troubleshooting".to_owned(),
            remaining_seconds: Some(72),
        };
        assert_eq!(words(&progress), " 93.3 %  14 of 15  Troubleshooting, 1 min 12 s left");
        progress.total = 0;
        progress.remaining_seconds = None;
        assert_eq!(words(&progress), "14  Troubleshooting");
    }
}
