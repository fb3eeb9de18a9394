//! One question after another. Owns: [`Asker`]: in which order things are asked for, taken and given back.

use std::{pin::pin, sync::Arc, time::Duration};

use presswork::{
    domain::{Failure, Reason},
    worker::Context,
};

use super::{Bill, Caching, source::Source};
use crate::model::{Answer, Finish, LanguageModel, ModelError, Price, Request, Spent};

/// How long a key is left alone whose provider does not say how long.
const THROTTLED_OTHERWISE: Duration = Duration::from_secs(20);

/// Asks a model on behalf of a job. One for a job's attempt.
pub struct Asker {
    context: Context,
    source: Source,
    caching: Caching,
    bill: Bill,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker")
            .field("model", &self.source.name)
            .field("bill", &self.bill)
            .finish_non_exhaustive()
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its text.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Whether it had been given before, and cost nothing now.
    pub from_cache: bool,
}

impl Asker {
    /// The model of this name in `[models]`. `bill` is what earlier attempts have spent: from the checkpoint.
    ///
    /// # Errors
    /// [`Failure::Fatal`] where there is no such model; it names those that there are.
    pub fn new(context: &Context, model: &str, caching: Caching, bill: Bill) -> Result<Self, Failure> {
        let source = Source::find(context, model)?;
        Ok(Self { context: context.clone(), source, caching, bill })
    }

    /// A model that runs in the process. `price` is what its tokens count as: [`Price::FREE`] where they cost nothing.
    ///
    /// # Errors
    /// [`Failure::Fatal`] where the name is none.
    pub fn in_process(
        context: &Context,
        name: &str,
        model: Arc<dyn LanguageModel>,
        price: Option<Price>,
        caching: Caching,
        bill: Bill,
    ) -> Result<Self, Failure> {
        let source = Source::here(name, model, price)?;
        Ok(Self { context: context.clone(), source, caching, bill })
    }

    /// The longest answer that the model gives, in tokens, where that is known.
    pub fn max_output_tokens(&self) -> Option<u32> {
        self.source.max_output_tokens
    }

    /// How many tokens question and answer may have together, where that is known.
    pub fn context_window(&self) -> Option<u32> {
        self.source.context_window
    }

    /// What the job has spent until now. It grows where a question fails, too: save it with the checkpoint.
    pub fn bill(&self) -> &Bill {
        &self.bill
    }

    /// Asks for one step of the job, whose name is for people. `told` is given each piece as it is written. What has been told of
    /// an answer that fails is to be thrown away.
    ///
    /// # Errors
    /// [`Failure::Snooze`] where the tenant's limit is used up, or the provider limits the key: at the cost of no attempt.
    /// [`Failure::Retry`] where the provider is away or its answer broke off. [`Failure::Fatal`] where somebody has to mend
    /// something first. [`Failure::Cancelled`] where the job is to stop: the provider's stream is closed by then, and the
    /// bill says what it has cost. Return it as it is.
    pub async fn ask(
        &mut self,
        step: &str,
        request: &Request,
        told: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Answered, Failure> {
        request.check().map_err(Failure::fatal)?;
        if self.context.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        let model = self.source.connect(&self.context).await?;
        let outcome = self.pay(&*model, request, told).await;
        outcome.map_err(|failure| in_step(step, failure))
    }

    /// Asks, having reserved what it may take.
    async fn pay(
        &mut self,
        model: &dyn LanguageModel,
        request: &Request,
        told: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Answered, Failure> {
        let Source { tokens, parked, .. } = &self.source;
        // A call of the key: where it is parked nothing is let through.
        let call = self.context.reserve(parked, 1).await?;
        let reserved = match self.context.reserve(tokens, whole(request.most_tokens())).await {
            Ok(reserved) => reserved,
            Err(failure) => {
                call.settle(0).await;
                return Err(failure);
            }
        };
        let mut answer = model.ask(request);
        let outcome = self.read(&mut answer, told).await;
        let spent = answer.spent();
        // Closes the stream before anything else is waited for.
        drop(answer);
        self.bill.add(&self.source.name, &spent, self.source.price.as_ref());
        reserved.settle(whole(used(&spent))).await;
        call.settle(1).await;
        match outcome {
            Ok((text, finish)) => Ok(Answered { text, finish, from_cache: false }),
            Err(Stopped::Cancelled) => Err(Failure::Cancelled),
            Err(Stopped::Failed(ModelError::Throttled { after, .. })) => {
                let wait = after.unwrap_or(THROTTLED_OTHERWISE);
                Err(self.context.park(&self.source.parked, wait).await)
            }
            Err(Stopped::Failed(error)) => Err(error.failure(THROTTLED_OTHERWISE)),
        }
    }

    /// Reads the answer to its end, or until the job is to stop.
    async fn read(
        &self,
        answer: &mut Answer,
        told: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(String, Finish), Stopped> {
        let mut text = String::new();
        let mut cancelled = pin!(self.context.cancelled());
        loop {
            let piece = tokio::select! {
                biased;
                () = &mut cancelled => return Err(Stopped::Cancelled),
                piece = answer.next() => piece.map_err(Stopped::Failed)?,
            };
            match (piece, answer.finish()) {
                (Some(piece), _) => {
                    told(&piece);
                    text.push_str(&piece);
                }
                (None, Some(finish)) => return Ok((text, finish.clone())),
                (None, None) => {
                    return Err(Stopped::Failed(ModelError::broken("it ended without saying why")));
                }
            }
        }
    }
}

/// Why an answer was not read to its end.
enum Stopped {
    Cancelled,
    Failed(ModelError),
}

/// What counts against the tenant's rate: all tokens.
fn used(spent: &Spent) -> u64 {
    spent.usage.input.saturating_add(spent.usage.output)
}

/// As limits count.
fn whole(tokens: u64) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// Says in which step it was.
fn in_step(step: &str, failure: Failure) -> Failure {
    let named = |reason: &Reason| Reason::new(format!("{step}: {reason}"));
    match failure {
        Failure::Retry { reason, after } => Failure::Retry { reason: named(&reason), after },
        Failure::Snooze { wait, reason } => Failure::Snooze { wait, reason: named(&reason) },
        Failure::Fatal(reason) => Failure::Fatal(named(&reason)),
        failure @ (Failure::Cancelled | Failure::LeaseLost) => failure,
    }
}
