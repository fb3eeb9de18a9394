//! What the commands understand and refuse.

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
        "app artifacts cat job_01kanp6f5rwe9b4p0e4y0m8sjg --range -500",
        "app artifacts get job_01kanp6f5rwe9b4p0e4y0m8sjg book.epub --range 0-499",
        "app artifacts list job_01kanp6f5rwe9b4p0e4y0m8sjg",
        "app artifacts verify --all",
        "app artifacts verify job_01kanp6f5rwe9b4p0e4y0m8sjg book.epub",
        "app artifacts rm job_01kanp6f5rwe9b4p0e4y0m8sjg --yes",
        "app artifacts url job_01kanp6f5rwe9b4p0e4y0m8sjg --expires 5m",
        "app tenants set acme --limit export=20/min:5 --weight 2 --max-running 8 --max-waiting none",
        "app jobs why job_01kanp6f5rwe9b4p0e4y0m8sjg",
        "app tenants set acme --seal on",
        "app keys list --tenant acme --master-key-file keys",
        "app keys rotate",
        "app keys rewrap --json",
        "app apikeys create printer --permission jobs:read --permission jobs:create:export --expires 90d --from 10.0.0.0/8",
        "app apikeys create printer --role viewer --tenant acme",
        "app apikeys check -",
        "app apikeys rotate key_00000000000000000000 --overlap 1h",
        "app secrets set openai --from-file key --tenant acme",
        "app secrets rotate openai --stdin",
        "app secrets import-env --file .env openai=OPENAI_KEY",
        "app secrets rewrap",
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
        "app artifacts cat job_01kanp6f5rwe9b4p0e4y0m8sjg --range 5-3",
        "app artifacts verify",
        "app artifacts verify job_01kanp6f5rwe9b4p0e4y0m8sjg --all",
        "app jobs why",
        "app jobs why batch_01kanp6f5rwe9b4p0e4y0m8sjg",
        "app batches show job_01kanp6f5rwe9b4p0e4y0m8sjg",
        "app kinds show",
        "app jobs retry",
        "app jobs retry --all-dead job_01kanp6f5rwe9b4p0e4y0m8sjg",
        "app tenants set acme --limit export=20",
        "app tenants set acme --seal maybe",
        "app keys",
        "app apikeys create printer",
        "app apikeys create printer --permission jobs:*",
        "app apikeys create printer --permission jobs:read --from 10.0.0.1/8",
        "app secrets rm",
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
