//! What breaks from outside: several processes on one file, processes killed with -9.

mod killed;
mod redis;
mod sharing;

use std::{path::Path, time::Duration};

use presswork::{
    domain::{JobId, KindName, NewJob, Payload, SystemRandom, TenantId, WorkerId},
    queue::{Ask, sqlite::SqliteQueue},
};

use crate::conformance::{queue::World, sqlite::database};

const EXPORT: KindName = KindName::literal("export");
const LEASE: Duration = Duration::from_secs(30);

/// The queue in a folder's file, as a process of its own would open it. Its clock stands still.
fn queue(folder: &Path) -> SqliteQueue {
    SqliteQueue::new(database(folder), World::clock())
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn job() -> NewJob {
    let payload = Payload { version: 1, bytes: b"{}".as_slice().into() };
    let id = JobId::new(presswork::domain::Clock::now(&*World::clock()), &SystemRandom);
    NewJob::new(id, acme(), EXPORT, payload)
}

fn ask(most: usize) -> Ask {
    Ask { kinds: vec![EXPORT], most, lease: LEASE }
}

fn worker() -> WorkerId {
    WorkerId::new("w")
}
