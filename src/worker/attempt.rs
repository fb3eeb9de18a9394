//! The way of one attempt: from a claim to the verdict. Must not know: apalis, how claims and verdicts travel.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;

use super::{
    context::{Context, Surroundings},
    keeper::{Hold, LeaseHandle, Order},
    kind::PayloadError,
    registry::{Ready, Registry, Work},
    reports::{Outbox, Publisher},
};
use crate::{
    domain::{Failure, Job, Output, Reason, Verdict},
    queue::Claim,
};

/// When a job that needs a newer program is offered again.
const WAIT_FOR_NEWER: Duration = Duration::from_secs(30);

/// What all attempts of a worker share.
pub(crate) struct Workshop {
    pub(crate) registry: Arc<Registry>,
    pub(crate) publisher: Publisher,
    pub(crate) surroundings: Arc<Surroundings>,
    /// How long a handler that was told to stop may take before it is dropped.
    pub(crate) grace: Duration,
}

/// A job that was claimed, with its lease: kept until this is dropped.
pub(crate) struct Claimed {
    pub(crate) claim: Claim,
    pub(crate) hold: Hold,
}

/// One attempt of a job.
pub(crate) struct Attempt {
    job: Job,
    hold: Hold,
    outbox: Arc<Outbox>,
    context: Context,
    workshop: Arc<Workshop>,
    span: tracing::Span,
    /// Why the payload was refused, in words that may be logged.
    refused: OnceLock<&'static str>,
}

impl Attempt {
    pub(crate) fn new(claimed: Claimed, workshop: &Arc<Workshop>) -> Arc<Self> {
        let Claimed { claim: Claim { job, lease, .. }, hold } = claimed;
        let outbox = workshop.publisher.outbox(lease, workshop.surroundings.clock.now());
        let surroundings = workshop.surroundings.clone();
        let timeout = workshop.registry.terms(&job.kind).timeout;
        let context = Context::new(&job, hold.handle().clone(), outbox.clone(), surroundings, timeout);
        let span = tracing::info_span!("attempt", job = %job.id, tenant = %job.tenant, kind = %job.kind,
            attempt = job.attempt, epoch = job.epoch);
        let (workshop, refused) = (workshop.clone(), OnceLock::new());
        Arc::new(Self { job, hold, outbox, context, workshop, span, refused })
    }

    /// The first half, inside the layers that catch panics and count slots: runs the handler until it ends, is out of
    /// time, or has to stop.
    pub(crate) async fn run(&self) -> Result<Value, Failure> {
        let ready = self.ready()?;
        let work = self.within_time(ready(self.context.clone()));
        self.unless_stopped(work).await
    }

    /// The second half, outside of them: whatever became of the handler, publishes what it has still to say, judges it,
    /// and leaves nothing half made. Without a verdict nothing is to be settled: the lease is gone.
    pub(crate) async fn conclude(&self, outcome: Result<Value, Failure>) -> Option<Verdict> {
        self.outbox.flush().await;
        let verdict = self.judge(outcome);
        if !matches!(verdict, Some(Verdict::Done(_))) {
            self.remove_artifacts().await;
        }
        verdict
    }

    pub(crate) fn lease(&self) -> &LeaseHandle {
        self.hold.handle()
    }

    pub(crate) fn span(&self) -> &tracing::Span {
        &self.span
    }

    /// Removes what the attempt has left on storage and nobody will point to.
    pub(crate) async fn remove_artifacts(&self) {
        if !self.context.has_begun_artifacts() {
            return;
        }
        let Job { tenant, id, epoch, .. } = &self.job;
        if let Err(error) = self.workshop.surroundings.artifacts.remove_attempt(tenant, *id, *epoch).await {
            tracing::warn!(%error, "artifacts of a failed attempt stay behind until the next sweep");
        }
    }

    fn ready(&self) -> Result<Ready, Failure> {
        if self.lease().order() != Order::Run {
            return Err(Failure::Cancelled);
        }
        self.workshop.registry.ready(&self.job.kind, &self.job.payload).map_err(|error| {
            self.refused.get_or_init(|| error.class());
            match error {
                // Not the job's fault: somewhere a newer worker is being rolled out.
                PayloadError::Newer { .. } | PayloadError::UnknownKind { .. } => {
                    Failure::Snooze { wait: WAIT_FOR_NEWER, reason: Reason::new(error.to_string()) }
                }
                error => Failure::fatal(error),
            }
        })
    }

    async fn within_time(&self, work: Work) -> Result<Value, Failure> {
        let limit = self.workshop.registry.terms(&self.job.kind).timeout;
        let late = |_| Err(Failure::retry(format_args!("timed out after {limit:?}")));
        tokio::time::timeout(limit, work).await.unwrap_or_else(late)
    }

    async fn unless_stopped(
        &self,
        work: impl Future<Output = Result<Value, Failure>>,
    ) -> Result<Value, Failure> {
        tokio::select! {
            // In this order, so that nothing is taken from a handler once its lease is gone.
            biased;
            () = self.lease().told(Order::Lost) => Err(Failure::LeaseLost),
            outcome = work => outcome,
            () = self.out_of_grace() => Err(Failure::Cancelled),
        }
    }

    async fn out_of_grace(&self) {
        self.lease().told(Order::HandBack).await;
        tokio::time::sleep(self.workshop.grace).await;
    }

    fn judge(&self, outcome: Result<Value, Failure>) -> Option<Verdict> {
        let failure = match (self.lease().order(), outcome) {
            (Order::Lost, _) => Failure::LeaseLost,
            (_, Ok(result)) => {
                self.span.in_scope(|| tracing::debug!("attempt completed"));
                return Some(Verdict::Done(Output { result, artifacts: self.context.take_finished() }));
            }
            // Interrupted by us: no attempt of the job.
            (Order::HandBack, Err(Failure::Cancelled | Failure::Retry { .. })) => {
                Failure::Snooze { wait: Duration::ZERO, reason: Reason::new("the worker is going down") }
            }
            // However a handler puts it that it was stopped.
            (Order::Cancel, Err(Failure::Retry { .. })) => Failure::Cancelled,
            (_, Err(failure)) => failure,
        };
        self.log(&failure);
        let Surroundings { clock, random, .. } = &*self.workshop.surroundings;
        let retry = self.workshop.registry.terms(&self.job.kind).retry.with_attempts(self.job.max_attempts);
        retry.judge(failure, self.job.attempt, clock.now(), &**random)
    }

    /// The one place where the end of an attempt that did not succeed is logged.
    fn log(&self, failure: &Failure) {
        let refused = self.refused.get().map(|class| format!("the payload was not accepted: {class}"));
        let reason = refused.unwrap_or_else(|| failure.to_string());
        self.span.in_scope(|| match failure {
            Failure::Fatal(_) => tracing::error!(reason, "attempt failed for good"),
            Failure::Retry { .. } => tracing::warn!(reason, "attempt failed"),
            Failure::LeaseLost => tracing::warn!("attempt stopped: its lease is gone"),
            Failure::Snooze { .. } => tracing::info!(reason, "job put off"),
            Failure::Cancelled => tracing::info!("attempt cancelled"),
        });
    }
}
