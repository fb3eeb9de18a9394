//! The scripts for producers and subscribers in any language, as they are shipped in `deploy/`: the very sources that the
//! queue's own scripts are made of, between a front that checks what is asked and an end that answers in JSON. Owns: their
//! making. Must not know: connections.

use super::{body, enqueue, scripts};
use crate::{domain::NewJob, progress::redis::EVENTS, queue::checks};

/// Events that `replay.lua` answers at most.
const MOST_REPLAYED: usize = 500;

/// What `enqueue.lua` takes of a job besides its payload.
const MOST_JOB_BYTES: usize = 64 << 10;

const IDS: &str =
    concat!(include_str!("../../progress/redis/lua/id_text.lua"), include_str!("lua/shipped/ids.lua"));

/// `deploy/enqueue.lua`: gives jobs.
pub fn enqueue_script() -> String {
    let bounds = format!(
        "local FORMAT, MOST_JOBS, MOST_BYTES, MOST_TIME, MOST_JOB_BYTES = {}, {}, {}, {}, {MOST_JOB_BYTES}\n\
         local MOST_PAYLOAD_BYTES, MOST_COST, DEFAULT_ATTEMPTS = {}, {}, {}\n\
         local MOST_DEPENDENCIES, RETRY_AFTER = {}, {}\n",
        body::FORMAT,
        enqueue::MOST_JOBS,
        enqueue::MOST_BYTES,
        enqueue::MOST_TIME,
        NewJob::MOST_PAYLOAD_BYTES,
        checks::MOST_COST,
        NewJob::DEFAULT_ATTEMPTS,
        NewJob::MOST_DEPENDENCIES,
        checks::RETRY_AFTER.as_secs(),
    );
    assemble(
        "enqueue.lua: gives jobs to Presswork.",
        "-- ARGV for each job two: the job (a JSON object) and its payload (JSON text).\n\
         -- Returns for each job one JSON text: what became of it.\n",
        [&bounds, IDS, include_str!("lua/shipped/enqueue_ask.lua")],
        &[scripts::PRELUDE, EVENTS, scripts::TRANSITION, scripts::DOOR, include_str!("lua/enqueue.lua")],
        include_str!("lua/shipped/enqueue_answer.lua"),
    )
}

/// `deploy/replay.lua`: tells what has happened to a job.
pub fn replay_script() -> String {
    let bounds = format!("local MOST_REPLAYED = {MOST_REPLAYED}\nlocal event_of\n");
    assemble(
        "replay.lua: tells what has happened to a job of Presswork.",
        "-- ARGV tenant, job, the sequence number after which to begin (0), how many events at most.\n\
         -- Returns one JSON text, nothing where there is no such job.\n",
        [&bounds, IDS, include_str!("lua/shipped/replay_ask.lua")],
        &[
            scripts::PRELUDE,
            EVENTS,
            "event_of = event_text\n",
            include_str!("../../progress/redis/lua/replay.lua"),
        ],
        include_str!("lua/shipped/replay_answer.lua"),
    )
}

/// The inner script is a function of the arguments that the front has made, so that it is the same text as everywhere.
fn assemble(what: &str, contract: &str, front: [&str; 3], inner: &[&str], end: &str) -> String {
    let head = format!(
        "-- {what} README.md beside this file says how to call it.\n\
         -- KEYS[1] the shard on which the tenant lives, {{pw:0}}; on a Cluster also KEYS[2], {{pw:0}}:\n\
         {contract}\
         -- Made by src/queue/redis/shipped.rs: change nothing here.\n"
    );
    let [bounds, ids, ask] = front;
    let inner = inner.join("\n");
    format!(
        "{head}\n{bounds}\n{ids}\n{ask}\nlocal answers = (function(ARGV)\n\n{inner}\nend)(asked)\n\n{end}"
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Set to write `deploy/` anew: `PRESSWORK_WRITE_DEPLOY=1 cargo test -p presswork --lib shipped`.
    const WRITE: &str = "PRESSWORK_WRITE_DEPLOY";

    #[test]
    fn the_scripts_in_deploy_are_those_that_this_makes() {
        for (name, made) in [("enqueue.lua", enqueue_script()), ("replay.lua", replay_script())] {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
            if std::env::var_os(WRITE).is_some() {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, &made).unwrap();
            }
            assert!(
                fs::read_to_string(&file).is_ok_and(|found| found == made),
                "deploy/{name} is not what its sources make: {WRITE}=1 cargo test -p presswork --lib shipped"
            );
        }
    }
}
