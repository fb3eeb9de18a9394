//! Asking with money: eight worker processes on a Redis before a server that limits each key, and the same book's jobs twice.

use std::{collections::BTreeMap, time::Duration};

use presswork::{
    client::Client,
    domain::{Job, State, TenantId},
    security::outgoing::Method,
};
use serde_json::{Value, json};

use crate::{
    models::{LLMOCK, Mock, tool},
    servers::RedisServer,
    world::{Running, World},
};

/// How many processes work.
const WORKERS: usize = 8;
/// How soon the whole fleet knows that a key is parked, at the latest, with eight processes on two cores.
const KNOWN_WITHIN: f64 = 1.0;

/// Tenants `first` and `second`, each with its key and a model of its own, and a project `book`.
struct Fleet {
    _redis: RedisServer,
    client: Client,
    mock: Mock,
    world: World,
    workers: Vec<Running>,
}

const TENANTS: [&str; 2] = ["first", "second"];

impl Fleet {
    /// A server that takes so many requests a minute of each key, the first of them at once; `limits` are ours.
    async fn start(a_minute: u32, limits: &str, workers: usize) -> Self {
        let redis = RedisServer::start();
        let mock =
            Mock::start(&tool(LLMOCK), &["serve", "--log-level", "error", "--rpm", &a_minute.to_string()])
                .await;
        let world = World::on_redis(&redis.url()).with("PRESSWORK_MASTER_KEY", &"5a".repeat(32));
        let (port, url) = (mock.port, mock.url("/v1"));
        let mut settings = format!("[outgoing]\nallow = [\"127.0.0.1:{port}\"]\n[limits]\n{limits}\n");
        for tenant in TENANTS {
            settings.push_str(&format!(
                "[models.{tenant}]\nprovider = \"openai\"\nmodel = \"of-{tenant}\"\nbase_url = \"{url}\"\n\
                 key = \"{tenant}\"\nprice = {{ input = 1, output = 10 }}\n"
            ));
        }
        world.file("presswork.toml", settings);
        let book = world.file("book.md", "# One\n\nA ship sails.\n\n# Two\n\nIt comes home.\n");
        let mut importer = world.start(&["up", "--json", "--kind", "import"]);
        for tenant in TENANTS {
            let key = world.file(&format!("{tenant}.key"), format!("sk-{tenant}"));
            world.json(&["secrets", "set", tenant, "--from-file", &key, "--tenant", tenant]);
            world.json(&["enqueue", "import", &book, "--project", "book", "--tenant", tenant, "--wait"]);
        }
        importer.child.kill().unwrap();
        importer.child.wait().unwrap();
        let up = ["up", "--json", "--kind", "synopsis", "--concurrency", "6"];
        let mut workers: Vec<Running> = (0..workers).map(|_| world.start(&up)).collect();
        for worker in &mut workers {
            worker.until(|line| line["event"] == "started");
        }
        let client = Client::connect(&redis.url()).await.unwrap();
        Self { _redis: redis, client, mock, world, workers }
    }

    async fn enqueue(&self, tenant: &str, jobs: usize, change: impl Fn(usize, &mut Value)) -> Vec<Job> {
        let whose: TenantId = tenant.parse().unwrap();
        let new = |n: usize| {
            let mut payload = json!({ "project": "book", "model": tenant, "caching": "fresh" });
            change(n, &mut payload);
            self.client.job(whose.clone(), "synopsis".parse().unwrap(), 1, &payload).unwrap()
        };
        let jobs: Vec<_> = (0..jobs).map(new).collect();
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        for answer in self.client.enqueue(jobs).await.unwrap() {
            answer.unwrap();
        }
        let mut ended = Vec::new();
        for id in ids {
            ended.push(self.client.wait_for(&whose, id, Duration::from_secs(120)).await.unwrap().unwrap());
        }
        ended
    }

    /// All requests that the server has had, in the order of their beginnings.
    async fn served(&self) -> Vec<Served> {
        let served = self.mock.control(Method::GET, "/_llmock/requests", &Value::Null).await;
        let mut all: Vec<Served> = served["requests"].as_array().unwrap().iter().map(Served::of).collect();
        all.sort_by(|a, b| a.begun.total_cmp(&b.begun));
        all
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

/// A request as the server has seen it; times are its own, in seconds.
#[derive(Debug)]
struct Served {
    model: String,
    begun: f64,
    ended: f64,
    is_refused: bool,
    retry_after: f64,
}

impl Served {
    fn of(request: &Value) -> Self {
        Self {
            model: request["model"].as_str().unwrap_or_default().to_owned(),
            begun: request["started_at"].as_f64().unwrap(),
            ended: request["ended_at"].as_f64().unwrap(),
            is_refused: request["status"] == 429,
            retry_after: request["retry_after"].as_f64().unwrap_or(0.0),
        }
    }
}

fn all_at_the_first_attempt(jobs: &[Job]) {
    for job in jobs {
        assert_eq!((job.state, job.attempt), (State::Completed, 1), "{}: {:?}", job.id, job.reason);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_workers_stay_within_a_limit_that_is_set_to_one_per_cent() {
    const A_MINUTE: usize = 200;
    // A few less at once than the server takes: its minute begins when the first request comes to it, ours when that was let go.
    let fleet = Fleet::start(200, "\"key:first\" = \"200/min:190\"", WORKERS).await;
    let jobs = fleet.enqueue("first", A_MINUTE + 50, |_, _| ()).await;
    all_at_the_first_attempt(&jobs);
    let served = fleet.served().await;
    let refused = served.iter().filter(|request| request.is_refused).count();
    let (first, last) = (served[0].begun, served.last().unwrap().begun);
    println!(
        "{} requests of {WORKERS} workers in {:.1} s, {refused} beyond the server's limit of {A_MINUTE} a minute",
        served.len(),
        last - first
    );
    assert!(refused * 100 <= A_MINUTE, "{refused} of {}", served.len());
    assert_eq!(served.len() - refused, jobs.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_429_parks_the_tenants_key_for_the_whole_fleet_burns_no_attempt_and_touches_nobody_else() {
    // Nobody has set a limit: only the server knows it. Twelve at once, then one in five seconds.
    let fleet = Fleet::start(12, "", WORKERS).await;
    let (first, second) =
        tokio::join!(fleet.enqueue("first", 15, |_, _| ()), fleet.enqueue("second", 10, |_, _| ()));
    all_at_the_first_attempt(&first);
    all_at_the_first_attempt(&second);
    let served = fleet.served().await;
    let of = |tenant: &str| {
        served.iter().filter(|request| request.model == format!("of-{tenant}")).collect::<Vec<_>>()
    };
    let (first, second) = (of("first"), of("second"));
    assert!(second.len() == 10 && second.iter().all(|request| !request.is_refused), "{second:?}");
    let refused: Vec<_> = first.iter().filter(|request| request.is_refused).collect();
    assert!(!refused.is_empty() && first.len() - refused.len() == 15, "{first:?}");
    let mut in_parked = 0;
    for one in &refused {
        let known = one.ended + KNOWN_WITHIN;
        let parked = known..one.ended + one.retry_after;
        in_parked += first.iter().filter(|request| parked.contains(&request.begun)).count();
    }
    let waits: Vec<String> = refused.iter().map(|one| format!("{:.1}", one.retry_after)).collect();
    println!(
        "{} refusals (waits of {} s), {in_parked} requests of the key while it was known to be parked; the other tenant: {} \
         requests, none refused",
        refused.len(),
        waits.join(", "),
        second.len()
    );
    assert!(refused.iter().any(|one| one.retry_after > 2.0 * KNOWN_WITHIN), "{waits:?}");
    assert_eq!(in_parked, 0);
    // The other one did not wait for it.
    assert!(second.last().unwrap().ended < first.last().unwrap().begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_holds_for_eight_workers_and_the_accounts_are_what_the_server_has_answered() {
    let fleet = Fleet::start(100_000, "", WORKERS).await;
    // Each asks with other words a synopsis: some 0.01 set aside, less of it used.
    fleet.world.json(&["spending", "budget", "set", "daily", "0.03", "--tenant", "first"]);
    let whose: TenantId = "first".parse().unwrap();
    let new = |n: usize| {
        let payload = json!({ "project": "book", "model": "first", "caching": "fresh", "words": 100 + n });
        fleet.client.job(whose.clone(), "synopsis".parse().unwrap(), 1, &payload).unwrap()
    };
    let jobs: Vec<_> = (0..200).map(new).collect();
    for answer in fleet.client.enqueue(jobs).await.unwrap() {
        answer.unwrap();
    }
    fleet.enqueue("second", 5, |n, payload| payload["words"] = json!(100 + n)).await;
    // Until all of them have ended, or wait for tomorrow or for others.
    let daily = || {
        let shown = fleet.world.json(&["spending", "show", "--tenant", "first"]);
        let budget = shown["budgets"]["budgets"][0].clone();
        let amount = |name: &str| budget[name].as_str().unwrap().parse::<f64>().unwrap();
        (amount("spent"), amount("set_aside"), shown)
    };
    let of_first = async || {
        let served = fleet.mock.control(Method::GET, "/_llmock/requests", &Value::Null).await;
        served["requests"].as_array().unwrap().iter().filter(|one| one["model"] == "of-first").count()
    };
    let scheduled = || fleet.world.json(&["jobs", "list", "--tenant", "first", "--state", "scheduled"]);
    let mut seen = Vec::new();
    // On a busy machine a pause looks like the end: then the server has answered more than was in the accounts before.
    crate::servers::process::until("the budget is used up and the accounts are the server's", async || {
        let (spent, aside, shown) = daily();
        assert!(spent + aside <= 0.030_000_001, "{spent} spent and {aside} set aside of 0.03");
        seen.push(spent);
        let is_quiet = aside == 0.0
            && seen.iter().rev().take_while(|other| **other == spent).count() > 3
            && spent > 0.02;
        is_quiet
            && shown["total"]["calls"].as_u64().unwrap() as usize == of_first().await
            && scheduled()["jobs"].as_array().is_some_and(|jobs| !jobs.is_empty())
    })
    .await;
    let (of_first, (_, _, shown)) = (of_first().await, daily());
    let waiting = scheduled();
    let id = waiting["jobs"][0]["id"].as_str().unwrap();
    let why = fleet.world.json(&["jobs", "why", id, "--tenant", "first"]);
    assert!(why["said"].as_str().unwrap().contains("the daily budget of 0.03 is used up"), "{why}");
    println!("{of_first} calls of eight workers have cost {} of a budget of 0.03", shown["total"]["cost"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_books_jobs_twice_are_paid_for_once() {
    let fleet = Fleet::start(100_000, "", 2).await;
    let ask = async |from: usize, count: usize| {
        let change = |n: usize, payload: &mut Value| {
            payload["caching"] = json!("shared");
            payload["words"] = json!(100 + from + n);
        };
        let jobs = fleet.enqueue("first", count, change).await;
        let mut sum = BTreeMap::new();
        for job in jobs {
            let total = job.output.unwrap().result["bill"]["total"].clone();
            for (name, value) in total.as_object().unwrap() {
                *sum.entry(name.clone()).or_insert(0) += value.as_u64().unwrap();
            }
        }
        sum
    };
    let first = ask(0, 40).await;
    // The same again, with twenty that are new among them.
    let second = ask(0, 60).await;
    assert_eq!((first["calls"], first["cached_calls"]), (40, 0));
    assert_eq!((second["calls"], second["cached_calls"]), (20, 40));
    assert_eq!(second["saved_nanos"], first["cost_nanos"]);
    let shown = fleet.world.json(&["spending", "show", "--tenant", "first"]);
    assert_eq!((&shown["total"]["calls"], &shown["total"]["cached_calls"]), (&json!(60), &json!(40)));
    println!(
        "40 of 40 repeated questions from the cache; {} saved of {}",
        shown["total"]["saved"], shown["total"]["cost"]
    );
}
