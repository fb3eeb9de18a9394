//! `jobs why`: what holds a job up, and when it is likely to start. Owns: its words. Must not know: how an engine tells.

use serde::Serialize;

use super::{app::App, error::CliError, follow::unknown_job, pause, show};
use crate::{
    domain::{JobId, State, Timestamp},
    engine::Engine,
    progress::last_word,
    queue::{Constraint, Why},
};

#[derive(Serialize)]
struct Document<'a> {
    id: JobId,
    #[serde(flatten)]
    why: &'a Why,
    /// Why it was put off.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
}

pub(super) async fn why(job: JobId, app: &App, engine: &Engine) -> Result<(), CliError> {
    let found = engine.queue.why(app.tenant(), job).await?;
    let found = found.ok_or_else(|| unknown_job(app, job, &format!("there is no job {job}")))?;
    let line =
        |label: &str, text: &dyn std::fmt::Display| app.output().line(format_args!("{label:<12} {text}"));
    line("job", &job)?;
    line("state", &found.state)?;
    line("held up by", &words(&found, engine.clock.now()))?;
    let said = match found.constraint {
        Constraint::Time { .. } => last_word(&*engine.progress, app.tenant(), job).await?,
        _ => None,
    };
    if let Some(said) = &said {
        line("it said", said)?;
    }
    if may_start(found.state) {
        line("ahead", &ahead(found.ahead))?;
        let estimate = found.estimate.map(|at| moment(at, engine.clock.now()));
        line("may start", &estimate.as_deref().unwrap_or("nobody can tell"))?;
    }
    app.output().document(&Document { id: job, why: &found, said })
}

fn may_start(state: State) -> bool {
    !state.is_final() && state != State::Running
}

fn ahead(jobs: u64) -> String {
    match jobs {
        0 => "no job of its lane".to_owned(),
        1 => "1 job of its lane".to_owned(),
        more => format!("{more} jobs of its lane"),
    }
}

/// A time that comes, and how long that is from now.
fn moment(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "now".to_owned() } else { format!("{at}, in {}", show::time(at.since(now))) }
}

/// What holds a job up, for people.
fn words(why: &Why, now: Timestamp) -> String {
    let running = |limit: u32, whose: &str| format!("a limit: {limit} {whose} may run at once, and do");
    match &why.constraint {
        Constraint::Nothing if why.state == State::Running => "nothing: it runs".to_owned(),
        Constraint::Nothing => "nothing: it has ended".to_owned(),
        Constraint::Time { until } => format!("its time: {}", moment(*until, now)),
        Constraint::Jobs { first: None, left } => format!("{left} of the jobs that it waits for"),
        Constraint::Jobs { first: Some(first), left: 1 } => format!("job {first}, which has not completed"),
        Constraint::Jobs { first: Some(first), left } => {
            format!("{left} jobs that have not completed, one of them {first}")
        }
        Constraint::Batch { batch, left } => format!("{left} jobs of {batch} that have not ended"),
        Constraint::Paused { scope } => format!("a pause: {}", pause::words(std::slice::from_ref(scope))),
        Constraint::TenantRunning { limit } => running(*limit, "of the tenant's jobs"),
        Constraint::LaneRunning { limit } => running(*limit, "of the tenant's jobs of this kind"),
        Constraint::KindRunning { limit } => running(*limit, "jobs of this kind"),
        Constraint::Rate { until } => {
            format!("its lane's rate: the next token comes {}", moment(*until, now))
        }
        Constraint::Turn if why.ahead > 0 => "nothing but its turn".to_owned(),
        Constraint::Turn => "nothing: the next free worker of its kind takes it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::queue::Scope;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn why(state: State, constraint: Constraint, ahead: u64) -> Why {
        Why { state, constraint, ahead, estimate: None }
    }

    #[test]
    fn each_constraint_has_words_of_its_own() {
        let id = "job_01kanp6f5rwe9b4p0e4y0m8sjg".parse().unwrap();
        let batch = "batch_01kanp6f5rwe9b4p0e4y0m8sjg".parse().unwrap();
        let until = NOW.after(Duration::from_secs(61));
        let all = [
            (State::Running, Constraint::Nothing, "it runs"),
            (State::Dead, Constraint::Nothing, "it has ended"),
            (State::Retrying, Constraint::Time { until }, "in 1 min 1 s"),
            (State::Blocked, Constraint::Jobs { first: None, left: 2 }, "2 of the jobs"),
            (
                State::Blocked,
                Constraint::Jobs { first: Some(id), left: 1 },
                "job job_01kanp6f5rwe9b4p0e4y0m8sjg,",
            ),
            (State::Blocked, Constraint::Jobs { first: Some(id), left: 3 }, "3 jobs that have not completed"),
            (
                State::Blocked,
                Constraint::Batch { batch, left: 7 },
                "7 jobs of batch_01kanp6f5rwe9b4p0e4y0m8sjg",
            ),
            (State::Waiting, Constraint::Paused { scope: Scope::Everything }, "a pause: everything"),
            (State::Waiting, Constraint::TenantRunning { limit: 4 }, "4 of the tenant's jobs may"),
            (State::Waiting, Constraint::LaneRunning { limit: 3 }, "3 of the tenant's jobs of this kind"),
            (State::Waiting, Constraint::KindRunning { limit: 2 }, "2 jobs of this kind"),
            (State::Waiting, Constraint::Rate { until }, "the next token comes 2027-"),
        ];
        for (state, constraint, part) in all {
            let text = words(&why(state, constraint, 0), NOW);
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        assert!(words(&why(State::Waiting, Constraint::Turn, 3), NOW).ends_with("its turn"));
        assert!(words(&why(State::Waiting, Constraint::Turn, 0), NOW).contains("next free worker"));
        assert_eq!([ahead(0), ahead(1), ahead(2)].map(|text| text.contains("jobs")), [false, false, true]);
    }

    #[test]
    fn in_json_the_constraint_names_its_type() {
        let why = why(State::Waiting, Constraint::KindRunning { limit: 2 }, 5);
        let id = "job_01kanp6f5rwe9b4p0e4y0m8sjg".parse().unwrap();
        let json = serde_json::to_value(Document { id, why: &why, said: None }).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "id": "job_01kanp6f5rwe9b4p0e4y0m8sjg", "state": "waiting", "ahead": 5, "estimate": null,
                "constraint": { "type": "kind_running", "limit": 2 },
            })
        );
    }
}
