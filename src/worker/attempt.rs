//! The way of one attempt: from a claim to the verdict. Must not know: apalis, how claims and verdicts travel.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use futures_util::poll;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::{
    context::{Context, JobFacts, Surroundings},
    keeper::{Hold, LeaseHandle, Order},
    kind::PayloadError,
    registry::{Registry, Work},
};
use crate::{
    artifact::{Maker, UploadState},
    domain::{Failure, FileName, Output, Payload, Reason, Verdict},
    queue::Claim,
    security::{PayloadSealError, unseal},
};

/// When a job that needs a newer program is offered again.
const WAIT_FOR_NEWER: Duration = Duration::from_secs(30);
/// When a job is offered again whose key could not be looked up.
const WAIT_FOR_KEYS: Duration = Duration::from_secs(5);

/// What all attempts of a worker share.
pub(crate) struct Workshop {
    pub(crate) registry: Arc<Registry>,
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
    payload: Payload,
    hold: Hold,
    context: Context,
    workshop: Arc<Workshop>,
    span: tracing::Span,
    /// Why the payload was refused, in words that may be logged.
    refused: OnceLock<&'static str>,
}

impl Attempt {
    pub(crate) fn new(claimed: Claimed, workshop: &Arc<Workshop>) -> Arc<Self> {
        let Claimed { claim: Claim { job, .. }, hold } = claimed;
        let span = tracing::info_span!("attempt", job = %job.id, tenant = %job.tenant, kind = %job.kind,
            attempt = job.attempt, epoch = job.epoch);
        let surroundings = workshop.surroundings.clone();
        let timeout = workshop.registry.terms(&job.kind).timeout;
        let (context, payload) = Context::new(job, hold.handle().clone(), surroundings, timeout);
        let (workshop, refused) = (workshop.clone(), OnceLock::new());
        Arc::new(Self { payload, hold, context, workshop, span, refused })
    }

    /// The first half, inside the layers that catch panics and count slots: runs the handler until it ends, is out of
    /// time, or has to stop.
    pub(crate) async fn run(&self) -> Result<Value, Failure> {
        let mut work = self.start().await?;
        let begun = Instant::now();
        // What is done at once needs neither a timer nor anybody who could stop it.
        if let Poll::Ready(outcome) = poll!(&mut work) {
            return outcome;
        }
        self.unless_stopped(self.within_time(begun, work)).await
    }

    /// The second half, outside of them: whatever became of the handler, publishes what it has still to say, judges it,
    /// and leaves nothing half made. Without a verdict nothing is to be settled: the lease is gone.
    pub(crate) async fn conclude(&self, outcome: Result<Value, Failure>) -> Option<Verdict> {
        // The queue keeps a time for it, and no reason.
        if let Err(Failure::Snooze { reason, .. }) = &outcome {
            self.context.says(reason.as_str());
        }
        self.context.flush_reports().await;
        let verdict = self.judge(outcome);
        match &verdict {
            Some(Verdict::Done(output)) => self.give_up_unfinished(output).await,
            Some(Verdict::Cancelled | Verdict::Dead(_)) => {
                self.give_up(self.context.uploads().await).await;
                self.remove_artifacts().await;
            }
            Some(Verdict::Retry { .. } | Verdict::Snooze { .. }) | None => self.remove_artifacts().await,
        }
        verdict
    }

    pub(crate) fn lease(&self) -> &LeaseHandle {
        self.hold.handle()
    }

    pub(crate) fn span(&self) -> &tracing::Span {
        &self.span
    }

    /// Removes what the attempt has left on storage and nobody will point to. What another attempt may go on with is left
    /// to it.
    pub(crate) async fn remove_artifacts(&self) {
        if !self.context.has_begun_artifacts() {
            return;
        }
        let JobFacts { tenant, id, epoch, .. } = self.context.job();
        if self.context.uploads().await.values().any(|upload| upload.epoch == *epoch) {
            return;
        }
        if let Err(error) = self.workshop.surroundings.artifacts.remove_attempt(tenant, *id, *epoch).await {
            tracing::warn!(%error, "artifacts of a failed attempt stay behind until the next sweep");
        }
    }

    /// The job is done: what its handler began and never finished has no use.
    async fn give_up_unfinished(&self, output: &Output) {
        if !self.context.has_begun_artifacts() {
            return;
        }
        let mut left = self.context.uploads().await;
        left.retain(|name, _| output.artifacts.iter().all(|pointer| pointer.name != *name));
        self.give_up(left).await;
    }

    /// The queue has settled that no other attempt will come: removes what is left of uploads, whoever began them. Not
    /// before, or it would be taken from the attempt that comes where the verdict is too late.
    pub(crate) async fn remove_begun(&self) {
        let JobFacts { tenant, id, epoch, .. } = self.context.job();
        let left = self.context.uploads().await;
        let epochs: BTreeSet<u64> = left.values().map(|upload| upload.epoch).collect();
        for begun in epochs {
            if let Err(error) = self.workshop.surroundings.artifacts.remove_attempt(tenant, *id, begun).await
            {
                tracing::warn!(%error, epoch, "artifacts of a job that has ended stay behind until the next sweep");
            }
        }
    }

    async fn give_up(&self, uploads: BTreeMap<FileName, UploadState>) {
        let JobFacts { tenant, id, epoch, .. } = self.context.job();
        for (name, upload) in uploads.into_iter().filter(|_| self.lease().is_safe()) {
            let maker = Maker { tenant: tenant.clone(), job: *id, epoch: *epoch };
            self.workshop.surroundings.artifacts.give_up(&maker, &name, &upload).await;
        }
    }

    async fn start(&self) -> Result<Work, Failure> {
        if self.lease().order() != Order::Run {
            return Err(Failure::Cancelled);
        }
        let readable = self.context.check_checkpoint();
        readable.map_err(|error| Failure::Snooze {
            wait: WAIT_FOR_NEWER,
            reason: Reason::new(error.to_string()),
        })?;
        let opened = self.unseal().await?;
        let (kind, payload) = (&self.context.job().kind, opened.as_ref().unwrap_or(&self.payload));
        self.workshop.registry.start(kind, payload, &self.context).map_err(|error| {
            self.refused.get_or_init(|| error.class());
            match error {
                // Not the job's fault: somewhere a newer worker is being rolled out.
                PayloadError::Newer { .. } | PayloadError::UnknownKind { .. } => {
                    Failure::Snooze { wait: WAIT_FOR_NEWER, reason: Reason::new(error.to_string()) }
                }
                // The reason is kept with the job, in the open: it must not quote what was sealed.
                error if opened.is_some() => {
                    Failure::fatal(format_args!("the sealed payload is not accepted: {}", error.class()))
                }
                error => Failure::fatal(error),
            }
        })
    }

    /// The payload where it was sealed; `None` where it is plain.
    async fn unseal(&self) -> Result<Option<Payload>, Failure> {
        let JobFacts { tenant, id, .. } = self.context.job();
        let opened = unseal(&self.workshop.surroundings.keyring, tenant, *id, &self.payload).await;
        opened.map_err(|error| {
            let reason = Reason::new(error.to_string());
            match error {
                PayloadSealError::Broken(_) => Failure::Fatal(reason),
                // Not the job's fault: another worker has the key, or this one is given it.
                PayloadSealError::Elsewhere(_) => Failure::Snooze { wait: WAIT_FOR_NEWER, reason },
                PayloadSealError::Later(_) => Failure::Snooze { wait: WAIT_FOR_KEYS, reason },
            }
        })
    }

    async fn within_time(&self, begun: Instant, work: Work) -> Result<Value, Failure> {
        let limit = self.workshop.registry.terms(&self.context.job().kind).timeout;
        let late = |_| Err(Failure::retry(format_args!("timed out after {limit:?}")));
        timeout(limit.saturating_sub(begun.elapsed()), work).await.unwrap_or_else(late)
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
        let JobFacts { kind, attempt, max_attempts, .. } = self.context.job();
        let retry = self.workshop.registry.terms(kind).retry.with_attempts(*max_attempts);
        retry.judge(failure, *attempt, clock.now(), &**random)
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
