//! Redis goes away under the whole API while many call, and comes back: killed, or hanging. Who calls meanwhile is answered
//! rightly or told to come again, and whoever comes again finds all as it was.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use presswork::{config::MasterKeySetting, domain::JobId, limits::LimitRules, security::access::Role};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    identity::{PASSWORD, login, user},
    servers::{RedisServer, process::until},
    world::{World, answer},
};

/// No answer takes longer, whatever Redis does, on a machine busy with other tests.
const BOUND: Duration = Duration::from_secs(15);
/// Callers of each sort.
const CALLERS: usize = 3;

/// What callers of one sort were told.
#[derive(Default)]
struct Told {
    good: AtomicU64,
    away: AtomicU64,
    wrong: Mutex<Vec<String>>,
    slowest: Mutex<Duration>,
}

impl Told {
    /// The answer's body where it is a good one, after a look at whether it is one that may be given.
    async fn judge(&self, sent: reqwest::Result<Response>, begun: Instant) -> Option<Value> {
        let judged = match sent {
            Ok(response) => judge(response).await,
            Err(error) => Err(format!("no answer: {error:?}")),
        };
        let took = begun.elapsed();
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = took.max(*slowest);
        if took > BOUND {
            self.wrong.lock().unwrap().push(format!("it took {took:?}"));
        }
        match judged {
            Ok(Some(body)) => {
                self.good.fetch_add(1, SeqCst);
                return Some(body);
            }
            Ok(None) => drop(self.away.fetch_add(1, SeqCst)),
            Err(wrong) => self.wrong.lock().unwrap().push(wrong),
        }
        None
    }
}

/// A good answer's body, or nothing where the caller is told to come again in the documented form.
async fn judge(response: Response) -> Result<Option<Value>, String> {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.map_err(|error| format!("{status} and then: {error:?}"))?;
    let text = String::from_utf8_lossy(&body);
    if status.is_success() {
        return Ok(Some(serde_json::from_str(&text).unwrap_or_default()));
    }
    let seconds = headers.get(header::RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse::<u64>().ok());
    let is_problem = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    let is_told = problem["type"] == "urn:presswork:problem:unavailable" && problem["status"] == 503;
    if status == StatusCode::SERVICE_UNAVAILABLE
        && seconds.is_some_and(|wait| wait > 0)
        && is_problem
        && is_told
    {
        return Ok(None);
    }
    Err(format!("{status} {seconds:?} {text}"))
}

/// A browser that is logged in.
#[derive(Clone)]
struct Browser {
    cookie: String,
    token: String,
}

impl Browser {
    async fn log_in(world: &World, tenant: &str, name: &str) -> Self {
        let body = json!({ "tenant": tenant, "name": name, "password": PASSWORD }).to_string();
        let sent =
            open(world, Method::POST, "/v1/sessions").header("content-type", "application/json").body(body);
        let response = sent.send().await.unwrap();
        let cookie =
            response.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let (status, body) = answer(response).await;
        assert_eq!(status, StatusCode::CREATED);
        Self { cookie, token: body["csrf_token"].as_str().unwrap().to_owned() }
    }

    fn request(&self, world: &World, method: Method, path: &str) -> RequestBuilder {
        let request = open(world, method, path).header("cookie", &self.cookie);
        request.header("sec-fetch-site", "same-origin").header("x-csrf-token", &self.token)
    }
}

fn open(world: &World, method: Method, path: &str) -> RequestBuilder {
    world.client.request(method, format!("http://{}{path}", world.address))
}

fn job(text: &str) -> String {
    json!({ "kind": "echo", "payload": { "text": text } }).to_string()
}

/// A world on a Redis, and all that callers need.
struct Outage {
    world: World,
    key: String,
    access: String,
    browser: Browser,
    /// Of a tenant that may call three times an hour.
    narrow: Browser,
    followed: JobId,
    told: BTreeMap<&'static str, Told>,
    /// The jobs that were taken, by the caller's word for them.
    made: Mutex<BTreeMap<String, JobId>>,
    last_event: AtomicU64,
    stopping: CancellationToken,
}

const SORTS: [&str; 7] = ["gives", "reads", "follows", "token", "browser", "browser gives", "lives"];

impl Outage {
    async fn prepare(redis: &RedisServer) -> Arc<Self> {
        let url = redis.url();
        let world = World::start_with(|settings| {
            settings.redis_url = Some(url.parse().unwrap());
            settings.master_key = Some(MasterKeySetting::Given("11".repeat(32).parse().unwrap()));
        })
        .await;
        user(&world, "acme", "jo", Role::Producer).await;
        user(&world, "globex", "al", Role::Producer).await;
        let narrow = Some("3/h:3".parse().unwrap());
        world.engine.rules.set(&"globex".parse().unwrap(), &LimitRules::API, narrow).await.unwrap();
        let key = world.key("acme", &["jobs:create", "jobs:read"]).await;
        let outage = Self {
            access: login(&world, "acme", "jo").await.0,
            browser: Browser::log_in(&world, "acme", "jo").await,
            narrow: Browser::log_in(&world, "globex", "al").await,
            followed: world.job(&key).await,
            key,
            told: SORTS.map(|sort| (sort, Told::default())).into(),
            made: Mutex::default(),
            last_event: AtomicU64::default(),
            stopping: CancellationToken::new(),
            world,
        };
        // What it may do is known from now on.
        assert_eq!(outage.narrow_status().await, StatusCode::OK);
        Arc::new(outage)
    }

    async fn narrow_status(&self) -> StatusCode {
        let sent = self.narrow.request(&self.world, Method::GET, "/v1/sessions/current").send().await;
        sent.unwrap().status()
    }

    async fn status(&self, path: &str) -> StatusCode {
        open(&self.world, Method::GET, path).send().await.unwrap().status()
    }

    /// All sorts of callers, each again and again.
    fn call(self: &Arc<Self>) -> JoinSet<()> {
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            for sort in SORTS {
                let outage = self.clone();
                callers.spawn(async move {
                    let mut turn = 0;
                    while !outage.stopping.is_cancelled() {
                        turn = outage.once(sort, number, turn).await;
                        tokio::task::yield_now().await;
                    }
                });
            }
        }
        callers
    }

    /// One call; the caller's next turn, which is the same one where he was told to come again.
    async fn once(&self, sort: &'static str, number: usize, turn: u64) -> u64 {
        let (world, told, begun) = (&self.world, &self.told[sort], Instant::now());
        let word = format!("{}-{number}-{turn}", sort.replace(' ', "-"));
        let request = match sort {
            "gives" => world.request(Method::POST, "/v1/jobs", &self.key),
            "browser gives" => self.browser.request(world, Method::POST, "/v1/jobs"),
            "reads" => world.request(Method::GET, &format!("/v1/jobs/{}", self.followed), &self.key),
            "follows" => return self.follow(told).await,
            "token" => world.request(Method::GET, "/v1/jobs?limit=1", &self.access),
            "browser" => self.browser.request(world, Method::GET, "/v1/sessions/current"),
            _ => open(world, Method::GET, "/healthz"),
        };
        if !sort.ends_with("gives") {
            let good = told.judge(request.send().await, begun).await;
            return turn + u64::from(good.is_some());
        }
        let request = request.header("content-type", "application/json").header("idempotency-key", &word);
        let Some(body) = told.judge(request.body(job(&word)).send().await, begun).await else { return turn };
        self.made.lock().unwrap().insert(word, body["id"].as_str().unwrap().parse().unwrap());
        turn + 1
    }

    /// Follows from the last event that was seen until the stream ends.
    async fn follow(&self, told: &Told) -> u64 {
        let (begun, after) = (Instant::now(), self.last_event.load(SeqCst));
        let path = format!("/v1/jobs/{}/events?after={after}", self.followed);
        let sent = self.world.request(Method::GET, &path, &self.key).send().await;
        let response = match sent {
            Ok(response) if response.status() == StatusCode::OK => response,
            other => {
                told.judge(other, begun).await;
                return 0;
            }
        };
        told.good.fetch_add(1, SeqCst);
        let (mut stream, mut text) = (response.bytes_stream(), String::new());
        loop {
            let bytes = tokio::select! {
                bytes = stream.next() => bytes,
                () = self.stopping.cancelled() => return 0,
            };
            match bytes {
                Some(Ok(bytes)) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
                // It ended as it should, and says when to come again.
                None => {
                    let is_told = text.rsplit("\n\n").nth(1).is_some_and(|last| last.contains("retry: "));
                    if !is_told {
                        told.wrong.lock().unwrap().push(format!("the stream ended with {text:?}"));
                    }
                    return 0;
                }
                Some(Err(error)) => {
                    told.wrong.lock().unwrap().push(format!("the stream broke: {error:?}"));
                    return 0;
                }
            }
            let ids = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok());
            self.last_event.fetch_max(ids.max().unwrap_or(0), SeqCst);
        }
    }

    /// Waits until every sort of callers has had so many more good answers.
    async fn until_good(&self, more: u64) {
        let before: Vec<u64> = self.told.values().map(|told| told.good.load(SeqCst)).collect();
        for ((sort, told), before) in self.told.iter().zip(before) {
            // Who follows is answered once.
            let more = if *sort == "follows" { 0 } else { more };
            until(sort, async || told.good.load(SeqCst) >= before + more).await;
        }
    }

    /// Waits until callers of these sorts have been told so often to come again.
    async fn until_away(&self, sorts: &[&str], times: u64) {
        for sort in sorts {
            let told = &self.told[sort];
            let before = told.away.load(SeqCst);
            until(sort, async || told.away.load(SeqCst) >= before + times).await;
        }
    }

    /// Panics where anybody was told what is neither right nor the documented word.
    fn look(&self) {
        for (sort, told) in &self.told {
            let wrong = told.wrong.lock().unwrap();
            let (good, away) = (told.good.load(SeqCst), told.away.load(SeqCst));
            println!(
                "{sort}: {good} good, {away} told to come again, slowest {:?}",
                told.slowest.lock().unwrap()
            );
            assert!(
                wrong.is_empty(),
                "{sort}: {} wrong ones, such as {:#?}",
                wrong.len(),
                &wrong[..wrong.len().min(3)]
            );
        }
        for sort in ["browser", "lives"] {
            assert_eq!(self.told[sort].away.load(SeqCst), 0, "{sort}");
        }
    }

    /// Everything works, of new things and of old.
    async fn works(&self) {
        let (world, before) = (&self.world, self.last_event.load(SeqCst));
        until("it is ready", async || self.status("/readyz").await == StatusCode::OK).await;
        self.until_good(10).await;
        let lease = world.claim().await;
        assert_eq!(lease.job, self.followed, "the oldest one");
        world.report(&lease, 50.0).await;
        until("events flow", async || self.last_event.load(SeqCst) > before).await;
    }

    /// Every job that was taken is there, and no other.
    async fn counts(&self) {
        let made = std::mem::take(&mut *self.made.lock().unwrap());
        let ids: Vec<JobId> = made.values().copied().collect();
        for ids in ids.chunks(500) {
            let found = self.world.engine.queue.inspect(&"acme".parse().unwrap(), ids).await.unwrap();
            assert!(found.iter().all(Option::is_some), "a job that was taken is gone");
        }
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "two words for one job");
        let stats = self.world.engine.queue.stats(Some(&"acme".parse().unwrap())).await.unwrap();
        let all: u64 = stats.lanes.iter().flat_map(|lane| &lane.jobs).map(|(_, count)| count).sum();
        // Beside the followed one, at most one for each giver: whose answer he did not wait for when all ended.
        let extra = all - ids.len() as u64 - 1;
        assert!(extra <= 2 * CALLERS as u64, "{all} jobs, {} of which were told", ids.len());
    }
}

/// Redis goes away and comes back. `refusals` is how often callers have to be told to come again meanwhile.
async fn goes_and_comes_back(go: fn(&mut RedisServer), refusals: u64, come_back: fn(&mut RedisServer)) {
    let mut redis = RedisServer::start_durable();
    let outage = Outage::prepare(&redis).await;
    let mut callers = outage.call();
    outage.until_good(10).await;
    go(&mut redis);
    // Who follows already hears nothing meanwhile, and goes on hearing.
    outage.until_away(&["gives", "reads", "token", "browser gives"], refusals).await;
    until("it is not ready", async || outage.status("/readyz").await == StatusCode::SERVICE_UNAVAILABLE)
        .await;
    until("limits hold in memory", async || outage.narrow_status().await == StatusCode::TOO_MANY_REQUESTS)
        .await;
    come_back(&mut redis);
    outage.works().await;
    outage.stopping.cancel();
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    outage.look();
    outage.counts().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed_under_load_and_all_returns_by_itself() {
    goes_and_comes_back(RedisServer::kill, 10, RedisServer::restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_hangs_under_load_and_nobody_waits_for_it_long() {
    goes_and_comes_back(|redis| redis.freeze(), 2, |redis| redis.thaw()).await;
}
