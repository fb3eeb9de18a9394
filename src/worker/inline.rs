//! One attempt run here and now, without a worker around it: for tests of handlers. Must not know: where the claim came
//! from, who hears the verdict.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Parts,
    attempt::{Attempt, Claimed, Workshop},
    keeper::Keeper,
    reports::Publisher,
    surroundings,
};
use crate::{
    domain::{Failure, Verdict},
    queue::Claim,
};

/// How often the lease is renewed: soon, for a test waits for what is heard that way.
const BEAT: Duration = Duration::from_millis(5);

/// How an attempt ended.
pub(crate) struct Ended {
    /// What the handler said.
    pub(crate) outcome: Result<Value, Failure>,
    /// What the queue is to be told; nothing where the lease is gone.
    pub(crate) verdict: Option<Verdict>,
}

/// Runs a claimed job's handler as a worker does, its panics apart: they are the caller's. Dropped, it leaves what a killed
/// worker leaves. `instead` is what the handler is taken to have said without being run.
pub(crate) async fn run(parts: &Parts, claim: Claim, lease: Duration, instead: Option<Failure>) -> Ended {
    let keeper = Keeper::new(parts.queue.clone(), parts.clock.clone(), lease, BEAT);
    let (publisher, publishing) = Publisher::new(parts.progress.clone());
    let workshop = Arc::new(Workshop {
        registry: parts.registry.clone(),
        surroundings: Arc::new(surroundings(parts, publisher)),
        grace: Duration::ZERO,
    });
    // Aborted when this future ends or is dropped.
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper.clone().run());
    tasks.spawn(publishing);
    let asked = keeper.elapsed();
    let Some(hold) = keeper.hold(std::slice::from_ref(&claim), asked).pop() else {
        return Ended { outcome: Err(Failure::LeaseLost), verdict: None };
    };
    let attempt = Attempt::new(Claimed { claim, hold }, &workshop);
    let outcome = match instead {
        Some(failure) => Err(failure),
        None => attempt.run().await,
    };
    let verdict = attempt.conclude(outcome.clone()).await;
    Ended { outcome, verdict }
}
