//! Processes killed with -9 while they enqueue, claim and settle. The process is this test binary itself, started
//! again to run [`a_process_to_be_killed`] alone.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use presswork::{
    domain::{JobId, State},
    queue::{Filter, Queue, Settled},
};

use super::*;
use crate::conformance::queue::world::done;

/// Names the folder of the store, for the process that is to be killed.
const FOLDER: &str = "PRESSWORK_TEST_KILLED_IN";

/// Nothing but where a parent asks for it: then it enqueues, claims and settles without end, and says what was
/// answered.
#[test]
fn a_process_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let queue = std::sync::Arc::new(queue(&folder));
    runtime.block_on(async {
        let enqueues = tokio::spawn(enqueue_for_ever(queue.clone()));
        let works = tokio::spawn(work_for_ever(queue));
        enqueues.await.unwrap();
        works.await.unwrap();
    });
}

async fn enqueue_for_ever(queue: std::sync::Arc<SqliteQueue>) {
    loop {
        for answer in queue.enqueue((0..3).map(|_| job()).collect()).await.unwrap() {
            println!("\naccepted {}", answer.unwrap().id());
        }
    }
}

/// Leaves every second job to lapse.
async fn work_for_ever(queue: std::sync::Arc<SqliteQueue>) {
    loop {
        let claims = queue.claim(&worker(), &ask(4)).await.unwrap();
        let done: Vec<_> = claims.into_iter().step_by(2).map(|claim| (claim.lease, done())).collect();
        let jobs: Vec<JobId> = done.iter().map(|(lease, _)| lease.job).collect();
        for (settled, job) in queue.settle(done).await.unwrap().into_iter().zip(jobs) {
            assert_eq!(settled, Settled::Now(State::Completed));
            println!("\ncompleted {job}");
        }
    }
}

/// What a killed process had been answered.
#[derive(Default)]
struct Answered {
    accepted: BTreeSet<JobId>,
    completed: BTreeSet<JobId>,
}

impl Answered {
    fn note(&mut self, line: &str) -> bool {
        match line.split_once(' ') {
            Some(("accepted", id)) => self.accepted.insert(id.parse().unwrap()),
            Some(("completed", id)) => self.completed.insert(id.parse().unwrap()),
            // The test harness's own lines.
            _ => false,
        }
    }
}

/// Starts the process, kills it once it has said so much, and notes all that it had said.
fn run_and_kill(folder: &Path, after: usize, answered: &mut Answered) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::killed::a_process_to_be_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut said = 0;
    while said < after {
        said += usize::from(answered.note(&lines.next().expect("it ended before it was killed")));
    }
    child.kill().unwrap();
    // A line that was cut short by the end is an answer that nobody got.
    for line in lines.filter(|line| line.split(' ').next_back().is_some_and(|id| id.len() == 30)) {
        answered.note(&line);
    }
    assert!(!child.wait().unwrap().success());
}

#[tokio::test]
async fn processes_killed_at_any_time_lose_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut answered = Answered::default();
    for after in [1, 2, 5, 10, 23, 60] {
        run_and_kill(folder.path(), after, &mut answered);
    }

    let (database, clock) = (database(folder.path()), World::clock());
    let check = |connection: &rusqlite::Connection| {
        connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
    };
    assert_eq!(database.read(check).await.unwrap(), "ok");
    let queue = SqliteQueue::new(database, clock.clone());
    for (ids, state) in [(&answered.accepted, None), (&answered.completed, Some(State::Completed))] {
        let ids: Vec<JobId> = ids.iter().copied().collect();
        assert!(!ids.is_empty());
        for (job, id) in queue.inspect(&acme(), &ids).await.unwrap().into_iter().zip(ids) {
            let job = job.unwrap_or_else(|| panic!("{id} was accepted and is lost"));
            assert!(state.is_none_or(|state| job.state == state), "{id} is {}", job.state);
        }
    }

    let before = queue.stats(None).await.unwrap();
    assert!(before.count(State::Running) > 0, "some leases were left to lapse");
    clock.advance(LEASE);
    let all: u64 = State::ALL.into_iter().map(|state| before.count(state)).sum();
    let mut claimed = BTreeSet::new();
    loop {
        let claims = queue.claim(&worker(), &ask(100)).await.unwrap();
        if claims.is_empty() {
            break;
        }
        claimed.extend(claims.iter().map(|claim| claim.job.id));
        let settlements = claims.into_iter().map(|claim| (claim.lease, done())).collect();
        for settled in queue.settle(settlements).await.unwrap() {
            assert_eq!(settled, Settled::Now(State::Completed));
        }
    }
    assert!(claimed.is_disjoint(&answered.completed), "what had completed ran again");
    assert_eq!(claimed.len() as u64, all - before.count(State::Completed));
    assert_eq!(queue.stats(None).await.unwrap().count(State::Completed), all);
    let unfinished = Filter { state: Some(State::Running), kind: None };
    assert!(queue.list(&acme(), &unfinished, None, 1).await.unwrap().items.is_empty());
}
