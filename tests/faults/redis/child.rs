//! A worker as a process of its own, to be killed or frozen: this test binary, started again to run
//! [`a_worker_to_be_broken`] alone. Owns: its kind of job, and the ledger, a file to which all processes append.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use presswork::{
    artifact::{ArtifactOptions, ArtifactStore, Storage},
    cache::{Cache, CacheOptions},
    domain::{
        Clock, Failure, JobId, KindName, Random, Reason, RetryPolicy, SystemRandom, WorkerId,
        clock::SystemClock,
    },
    limits::{LimitRules, RedisLimiter, Rules},
    progress::redis::RedisProgress,
    queue::redis::RedisQueue,
    security::{
        Keyring, MasterSource, Recorder,
        audit::Entry,
        outgoing::{Outgoing, OutgoingRules},
        vault::Vault,
    },
    spending::{Budget, Spending},
    store::{
        Records,
        redis::{Redis, RedisRecords},
    },
    worker::{Context, Kind, Options, Parts, Registry, Worker},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What a process is told, as JSON.
const ORDERS: &str = "PRESSWORK_TEST_WORKER";
const KIND: &str = "task";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) url: String,
    pub(super) namespace: String,
    pub(super) shards: u16,
    /// For the ledger and the storage.
    pub(super) folder: PathBuf,
    pub(super) concurrency: usize,
    pub(super) lease: Duration,
}

/// What a job does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// Never ends on its first attempt.
    Hold,
    /// Fails or panics so often, may be put off in between, and then ends well or for good.
    Chance { failures: u32, ends_well: bool },
    /// Writes half of an artifact; on the first attempt the other half when its process is told to go.
    Write,
}

/// Heard from the parent, and told by the handlers.
struct Wires {
    ledger: Mutex<File>,
    go: watch::Sender<bool>,
}

static WIRES: OnceLock<Wires> = OnceLock::new();

impl Kind for Task {
    const NAME: KindName = KindName::literal(KIND);
    // More than any job can be unlucky.
    const RETRY: RetryPolicy = RetryPolicy::attempts(1_000).backoff(Duration::ZERO, Duration::ZERO);
    type Output = ();

    async fn run(self, context: Context) -> Result<(), Failure> {
        let wires = WIRES.get().unwrap();
        let (id, epoch, attempt) = (context.job().id, context.job().epoch, context.job().attempt);
        let note = |word: &str| {
            // One write of a line to a file that is only appended to: lines of several processes don't mix.
            let line = format!("{word} {id} {epoch} {attempt}\n");
            wires.ledger.lock().unwrap().write_all(line.as_bytes()).unwrap();
        };
        note("started");
        match self {
            Self::Hold if attempt == 1 => std::future::pending().await,
            Self::Hold => {}
            Self::Chance { .. } if epoch % 7 == 3 => {
                return Err(Failure::Snooze { wait: Duration::ZERO, reason: Reason::new("not now") });
            }
            Self::Chance { failures, .. } if attempt <= failures => {
                assert!(attempt % 2 == 0, "an odd attempt");
                return Err(Failure::retry("an even attempt"));
            }
            Self::Chance { ends_well, .. } => {
                if !ends_well {
                    return Err(Failure::fatal("it was to end so"));
                }
            }
            Self::Write => {
                let mut artifact =
                    context.artifact(&"a.txt".parse().unwrap(), ArtifactOptions::default()).await?;
                artifact.write(format!("attempt {attempt}, ").as_bytes()).await?;
                note("half");
                if attempt == 1 {
                    wires.go.subscribe().wait_for(|go| *go).await.unwrap();
                }
                artifact.write(b"whole").await?;
                artifact.finish().await?;
            }
        }
        note("done");
        Ok(())
    }
}

/// Its tasks read no secrets.
struct Silent;

#[async_trait::async_trait]
impl Recorder for Silent {
    async fn record(&self, _: Entry) {}
}

/// Nothing but where a parent asks for it: then it works until it is told to stop, or its parent is gone.
#[test]
fn a_worker_to_be_broken() {
    let Some(orders) = std::env::var_os(ORDERS) else { return };
    let orders: Orders = serde_json::from_slice(orders.as_encoded_bytes()).unwrap();
    let ledger = OpenOptions::new().create(true).append(true).open(ledger_of(&orders.folder)).unwrap();
    let (ledger, go) = (Mutex::new(ledger), watch::Sender::new(false));
    assert!(WIRES.set(Wires { ledger, go }).is_ok());
    let stop = CancellationToken::new();
    let told = stop.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match &*line {
                "go" => drop(WIRES.get().unwrap().go.send_replace(true)),
                _ => break,
            }
        }
        told.cancel();
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let summary = runtime.block_on(async {
        let redis = Redis::connect_with(&orders.url, &orders.namespace, orders.shards).await.unwrap();
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) =
            (Arc::new(SystemClock), Arc::new(SystemRandom));
        let records: Arc<dyn Records> = Arc::new(RedisRecords::new(redis.clone(), None));
        let keyring = Keyring::new(&records, MasterSource::Absent, clock.clone(), random.clone());
        let parts = Parts {
            queue: Arc::new(RedisQueue::new(redis.clone(), None)),
            progress: Arc::new(RedisProgress::new(redis.clone(), None)),
            limiter: Arc::new(RedisLimiter::new(redis, random.clone())),
            rules: Arc::new(Rules::new(LimitRules::default(), records.clone(), clock.clone())),
            spending: Spending::new(Budget::default(), &records, clock.clone(), random.clone()),
            cache: Cache::in_memory(CacheOptions::default(), clock.clone(), random.clone()),
            artifacts: ArtifactStore::new(Storage::folder(storage_of(&orders.folder)).unwrap()),
            vault: Vault::new(&records, &keyring, Arc::new(Silent), clock.clone(), random.clone()),
            keyring,
            outgoing: Outgoing::new(OutgoingRules::default()),
            models: None,
            registry: Arc::new(Registry::new().register::<Task>()),
            scratch: orders.folder.join("tmp"),
            clock,
            random,
        };
        let mut options = Options::new(WorkerId::new(&std::process::id().to_string()));
        (options.concurrency, options.lease) = (orders.concurrency, orders.lease);
        Worker::new(parts, options).unwrap().run(stop.cancelled()).await.unwrap()
    });
    let line = format!("summary {} {} {}\n", summary.completed, summary.dead, summary.lost);
    WIRES.get().unwrap().ledger.lock().unwrap().write_all(line.as_bytes()).unwrap();
}

fn ledger_of(folder: &Path) -> PathBuf {
    folder.join("ledger")
}

/// The storage of the workers in a folder.
pub(super) fn storage_of(folder: &Path) -> PathBuf {
    let storage = folder.join("storage");
    std::fs::create_dir_all(&storage).unwrap();
    storage
}

/// A worker's process. Dropped: killed.
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
}

impl Process {
    pub(super) fn start(orders: &Orders) -> Self {
        // The kernel kills it where this test ends early.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "faults::redis::child::a_worker_to_be_broken", "--nocapture"])
            .env(ORDERS, serde_json::to_string(orders).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        Self { child, input }
    }

    /// Kills it with -9.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it without ending it (`STOP`), or lets it go on (`CONT`).
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Lets handlers go on that wait for it.
    pub(super) fn go(&mut self) {
        self.input.write_all(b"go\n").unwrap();
    }

    /// Has it stop as a worker should, and waits until it has.
    pub(super) fn stop(mut self) {
        self.input.write_all(b"stop\n").unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// A line of the ledger: a word, then numbers and ids.
pub(super) type Line = Vec<String>;

/// What all processes have said so far that begins with a word.
pub(super) fn said(folder: &Path, word: &str) -> Vec<Line> {
    let text = std::fs::read_to_string(ledger_of(folder)).unwrap_or_default();
    let lines = text.lines().map(|line| line.split(' ').map(str::to_owned).collect::<Line>());
    lines.filter(|line| line[0] == word).collect()
}

/// Which job a line is about.
pub(super) fn job_of(line: &Line) -> JobId {
    line[1].parse().unwrap()
}
