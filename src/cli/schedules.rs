//! `schedules set|list|show|pause|resume|remove|next`: jobs that are made again and again.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{app::App, audit, choice::one_of, command::Command, error::CliError, submit::read_payload};
use crate::{
    config::TimeSpan,
    domain::{JobId, KindName, NewJob, Priority, ScheduleName, Timestamp},
    engine::Engine,
    schedule::{CatchUp, Plan, Schedule, ScheduleError, SchedulePayload},
    security::audit::{Action as Act, Entry},
};

pub(super) struct Schedules;

#[derive(Args)]
pub(super) struct SchedulesArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Makes a schedule, or changes it: from now on it fires by what is given here
    Set(SetArguments),
    /// Lists the tenant's schedules, by name
    List,
    /// Shows all that is known of a schedule
    Show(Named),
    /// Stops a schedule until it is resumed
    Pause(Named),
    /// Lets a schedule fire again; what would have fired meanwhile is not made
    Resume(Named),
    /// Removes a schedule; its jobs stay
    Remove(Named),
    /// Tells when a schedule fires next
    Next {
        #[command(flatten)]
        named: Named,
        /// How many times
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
    },
}

#[derive(Args)]
struct Named {
    /// The schedule
    name: ScheduleName,
}

#[derive(Args)]
struct SetArguments {
    /// The schedule
    name: ScheduleName,
    /// What its jobs are
    #[arg(long)]
    kind: KindName,
    /// When, such as '0 6 * * mon-fri': minute, hour, day of month, month, day of week; seconds may stand in front
    #[arg(long, value_name = "EXPRESSION")]
    cron: String,
    /// In which time zone, such as Europe/Berlin
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    zone: String,
    /// The jobs' payload as JSON; @FILE for a file's content, - for what comes on standard input
    #[arg(long, default_value = "{}", value_name = "JSON", conflicts_with = "payload_file")]
    payload: String,
    /// A file with the jobs' payload
    #[arg(long, value_name = "FILE")]
    payload_file: Option<String>,
    /// The payload's version, for a kind that this program does not know
    #[arg(long, default_value_t = 1, value_name = "N")]
    payload_version: u16,
    /// Each firing happens up to so much later, such as 5m, but before the next one
    #[arg(long, default_value = "0s", value_name = "TIME")]
    jitter: TimeSpan,
    /// What becomes of missed firings: dropped, made up for by one, or all made (the latest 100)
    #[arg(long, default_value_t, value_parser = one_of::<CatchUp>(CatchUp::ALL.map(CatchUp::name)))]
    catch_up: CatchUp,
    /// Before or after other jobs of the same tenant and kind
    #[arg(long, default_value_t, value_parser = one_of::<Priority>(Priority::ALL.map(Priority::name)))]
    priority: Priority,
}

impl Command for Schedules {
    const NAME: &'static str = "schedules";
    const ABOUT: &'static str = "Makes jobs again and again, by cron expressions in time zones";
    type Arguments = SchedulesArguments;

    async fn run(arguments: SchedulesArguments, app: &App) -> Result<(), CliError> {
        let engine = match &arguments.action {
            Action::Set(_) => app.engine().await?,
            _ => app.existing_engine().await?,
        };
        let (schedules, tenant) = (&engine.schedules, app.tenant());
        match arguments.action {
            Action::Set(arguments) => {
                let name = arguments.name.clone();
                let plan = plan(arguments, app, &engine).await?;
                let set = schedules.set(tenant, &name, plan).await?;
                record(app, &engine, &name, "set").await;
                tell(app, &set)
            }
            Action::List => list(app, &engine).await,
            Action::Show(Named { name }) => tell(app, &found(app, &engine, &name).await?),
            Action::Pause(Named { name }) => {
                let paused = schedules.pause(tenant, &name).await?;
                record(app, &engine, &name, "pause").await;
                tell(app, &paused)
            }
            Action::Resume(Named { name }) => {
                let resumed = schedules.resume(tenant, &name).await?;
                record(app, &engine, &name, "resume").await;
                tell(app, &resumed)
            }
            Action::Remove(Named { name }) => {
                if !schedules.remove(tenant, &name).await? {
                    return Err(ScheduleError::Unknown { tenant: tenant.clone(), name }.into());
                }
                record(app, &engine, &name, "remove").await;
                app.output().line(format_args!("{name} removed"))?;
                app.output().document(&Removed { removed: &name })
            }
            Action::Next { named, count } => next(app, &engine, &named.name, usize::from(count)).await,
        }
    }
}

async fn record(app: &App, engine: &Engine, name: &ScheduleName, act: &'static str) {
    let entry = Entry::new(Act::ScheduleChanged).of(app.tenant()).to(name.to_string()).with("act", act);
    audit::record(engine, entry).await;
}

async fn found(app: &App, engine: &Engine, name: &ScheduleName) -> Result<Schedule, CliError> {
    let unknown = || ScheduleError::Unknown { tenant: app.tenant().clone(), name: name.clone() };
    Ok(engine.schedules.get(app.tenant(), name).await?.ok_or_else(unknown)?)
}

async fn plan(arguments: SetArguments, app: &App, engine: &Engine) -> Result<Plan, CliError> {
    let SetArguments { kind, cron, zone, jitter, catch_up, priority, .. } = arguments;
    let given = arguments.payload_file.map_or(arguments.payload, |file| format!("@{file}"));
    let bytes = read_payload(&given).await?;
    let no_json =
        |problem: &dyn std::fmt::Display| CliError::usage(format_args!("the payload is no JSON: {problem}"));
    let text = std::str::from_utf8(&bytes).map_err(|error| no_json(&error))?;
    let json = RawValue::from_string(text.trim().to_owned()).map_err(|error| no_json(&error))?;
    let (version, cost, max_attempts) = if app.registry().knows(&kind) {
        let id = JobId::new(engine.clock.now(), &*engine.random);
        let job = app.registry().new_job(id, app.tenant().clone(), &kind, bytes)?;
        (job.payload.version, job.cost, job.max_attempts)
    } else {
        app.output().note(format_args!("this program does not know kind {kind}: its payload is not checked"));
        (arguments.payload_version, 1, NewJob::DEFAULT_ATTEMPTS)
    };
    let payload = SchedulePayload { version, json };
    Ok(Plan { kind, payload, cron, zone, jitter: jitter.0, catch_up, priority, cost, max_attempts })
}

/// How many schedules are read at a time.
const BATCH: usize = 200;

async fn list(app: &App, engine: &Engine) -> Result<(), CliError> {
    let mut document = app.output().list("schedules")?;
    let (mut after, mut is_first) = (None, true);
    loop {
        let page = engine.schedules.list(app.tenant(), after.as_ref(), BATCH).await?;
        page.items.iter().try_for_each(|schedule| document.item(schedule))?;
        let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
        let header = ["SCHEDULE", "KIND", "CRON", "ZONE", "NEXT", "LAST"];
        if is_first {
            app.output().table(&header, &rows)?;
        } else {
            app.output().more_rows(&header, &rows)?;
        }
        is_first &= rows.is_empty();
        after = page.next;
        if after.is_none() {
            return document.end(false);
        }
    }
}

fn row(schedule: &Schedule) -> Vec<String> {
    let Schedule { name, plan, .. } = schedule;
    let next = schedule.next.map_or_else(|| at_rest(schedule).to_owned(), |next| next.at.to_string());
    let last = schedule.last.map_or_else(|| "never".to_owned(), |last| last.firing.to_string());
    vec![name.to_string(), plan.kind.to_string(), plan.cron.clone(), plan.zone.clone(), next, last]
}

fn at_rest(schedule: &Schedule) -> &'static str {
    if schedule.paused { "paused" } else { "never again" }
}

#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a ScheduleName,
}

fn tell(app: &App, schedule: &Schedule) -> Result<(), CliError> {
    let line =
        |label: &str, text: &dyn std::fmt::Display| app.output().line(format_args!("{label:<12} {text}"));
    let Schedule { tenant, name, plan, .. } = schedule;
    line("schedule", name)?;
    line("tenant", tenant)?;
    line("kind", &plan.kind)?;
    line("cron", &format_args!("{} in {}", plan.cron, plan.zone))?;
    if !plan.jitter.is_zero() {
        line("jitter", &TimeSpan(plan.jitter))?;
    }
    line("catch up", &plan.catch_up)?;
    line("priority", &format_args!("{}, cost {}", plan.priority, plan.cost))?;
    line("payload", &plan.payload.json.get())?;
    match schedule.next {
        Some(next) => line("next", &next.at)?,
        None => line("next", &at_rest(schedule))?,
    }
    if let Some(last) = schedule.last {
        line("last", &format_args!("{}, {}", last.firing, last.job))?;
    }
    if let Some(trouble) = &schedule.trouble {
        line("trouble", &format_args!("{}: {}", trouble.firing, trouble.reason))?;
    }
    if let Some(dropped) = schedule.dropped {
        line("left out", &format_args!("from {} until {}", dropped.from, dropped.until))?;
    }
    app.output().document(schedule)
}

/// A firing that is to come, in JSON.
#[derive(Serialize)]
struct Coming {
    firing: Timestamp,
    local: String,
    at: Timestamp,
}

#[derive(Serialize)]
struct ComingDocument<'a> {
    schedule: &'a ScheduleName,
    paused: bool,
    next: Vec<Coming>,
}

async fn next(app: &App, engine: &Engine, name: &ScheduleName, count: usize) -> Result<(), CliError> {
    let schedule = found(app, engine, name).await?;
    let timing = schedule.plan.timing().map_err(ScheduleError::from)?;
    let first = schedule.next.or_else(|| schedule.next_after(&timing, engine.clock.now()));
    let all = std::iter::successors(first, |last| schedule.next_after(&timing, last.firing));
    let coming = |next: crate::schedule::Next| Coming {
        firing: next.firing,
        local: timing.local(next.firing),
        at: next.at,
    };
    let next: Vec<Coming> = all.take(count).map(coming).collect();
    if schedule.paused {
        app.output().note("it is paused: it would fire at these times");
    }
    let rows: Vec<_> = next.iter().map(|next| vec![next.local.clone(), next.at.to_string()]).collect();
    app.output().table(&["TIME", "JOB MADE AT"], &rows)?;
    app.output().document(&ComingDocument { schedule: name, paused: schedule.paused, next })
}
