//! The scripts of the queue, each made of its own file and those that it shares. Owns: that list. Must not know: arguments.

use std::sync::LazyLock;

use crate::{progress::redis::EVENTS, store::redis::Script};

const QUICK: &str = include_str!("lua/quick.lua");
pub(super) const PRELUDE: &str = include_str!("lua/prelude.lua");
pub(super) const TRANSITION: &str = concat!(include_str!("lua/transition.lua"), include_str!("lua/ties.lua"));
pub(super) const DOOR: &str = include_str!("lua/door.lua");
const PASSING: &str = include_str!("lua/passing.lua");
const LOOK: &str = include_str!("lua/look.lua");
/// What ends or removes jobs goes on where the server is at its memory's limit: it makes room.
const ALLOW_OOM: &str = "#!lua flags=allow-oom";

/// What brings jobs in is refused as a whole where the server has no room: Redis looks before the script begins.
const WRITES: &str = "#!lua";
/// What only reads.
const NO_WRITES: &str = "#!lua flags=no-writes";

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident: $text:literal = [$($piece:expr),+];)+) => {
        $(
            $(#[$doc])*
            pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
                Script::new($text, &[$($piece,)+ include_str!(concat!("lua/", $text, ".lua"))])
            });
        )+
    };
}

scripts! {
    /// Accepts jobs.
    ENQUEUE: "enqueue" = [WRITES, QUICK, PRELUDE, EVENTS, TRANSITION, DOOR];
    /// Opens batches.
    OPEN: "open" = [WRITES, PRELUDE, EVENTS, TRANSITION, DOOR];
    /// Hands out jobs.
    CLAIM: "claim" = [ALLOW_OOM, PRELUDE, EVENTS, TRANSITION, PASSING];
    /// Looks for jobs, or sleeps.
    AWAIT: "await" = [ALLOW_OOM, PRELUDE, EVENTS, TRANSITION];
    /// Sleeps no more.
    LEAVE: "leave" = [ALLOW_OOM, PRELUDE, EVENTS, TRANSITION];
    /// Prolongs leases.
    RENEW: "renew" = [ALLOW_OOM, PRELUDE, EVENTS, TRANSITION];
    /// Ends attempts.
    SETTLE: "settle" = [ALLOW_OOM, PRELUDE, EVENTS, TRANSITION];
    /// Cancels jobs.
    CANCEL: "cancel" = [ALLOW_OOM, PRELUDE, EVENTS, TRANSITION];
    /// Puts jobs back.
    REQUEUE: "requeue" = [WRITES, PRELUDE, EVENTS, TRANSITION];
    /// Keeps everything bounded.
    SWEEP: "sweep" = [ALLOW_OOM, PRELUDE, EVENTS, TRANSITION, PASSING];
    /// Shows jobs.
    INSPECT: "inspect" = [NO_WRITES, PRELUDE, LOOK];
    /// Shows a stretch of a tenant's jobs.
    LIST: "list" = [NO_WRITES, PRELUDE, LOOK];
    /// Counts lanes.
    STATS: "stats" = [NO_WRITES, PRELUDE, LOOK];
    /// Shows a batch.
    BATCH: "batch" = [NO_WRITES, PRELUDE];
    /// Tells what holds a job up.
    WHY: "why" = [NO_WRITES, PRELUDE, LOOK];
    /// Pauses, resumes, limits.
    CONTROL: "control" = [ALLOW_OOM, PRELUDE, EVENTS, TRANSITION];
}
