//! One question after another. Owns: [`Asker`]: in which order things are asked for, taken and given back.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use presswork::{
    domain::{Cost, Failure, Reason},
    spending::{Estimate, ModelName, Used},
    worker::{Context, Reserve, Spend},
};

use super::{
    Bill, Caching,
    kept::{self, Kept},
    source::Source,
};
use crate::model::{Answer, Finish, LanguageModel, ModelError, Price, Request, Spent, Usage};

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
        let mut asker = f.debug_struct("Asker");
        asker.field("model", &self.source.name).field("bill", &self.bill).finish_non_exhaustive()
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

/// Who is given each piece as it is written.
type Told<'a> = &'a mut (dyn FnMut(&str) + Send);

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

    /// Asks for one step of the job, whose name is for people. `told` is given each piece as it is written, and an answer from
    /// the cache as a whole. What has been told of an answer that fails is to be thrown away.
    ///
    /// # Errors
    /// [`Failure::Snooze`] where the tenant's limit or budget is used up, or the provider limits the key: at the cost of no
    /// attempt. [`Failure::Retry`] where the provider is away or its answer broke off. [`Failure::Fatal`] where somebody has to
    /// mend something first. [`Failure::Cancelled`] where the job is to stop: the provider's stream is closed by then, and the
    /// bill and the job's last word say what it has cost. Return it as it is.
    pub async fn ask(
        &mut self,
        step: &str,
        request: &Request,
        told: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Answered, Failure> {
        self.ask_for(step, request, told, &|_| true).await
    }

    /// The same for an answer that has to be of use: one that is not is given back, too, but kept for nobody, and one that was kept
    /// is asked for anew. Whoever asks again after a while may be luckier then.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn ask_for(
        &mut self,
        step: &str,
        request: &Request,
        told: &mut (dyn FnMut(&str) + Send),
        is_of_use: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<Answered, Failure> {
        request.check().map_err(Failure::fatal)?;
        let outcome = match self.caching {
            Caching::Shared if !self.source.lives.is_zero() => {
                self.remembered(request, told, is_of_use).await
            }
            Caching::Shared | Caching::Fresh => {
                let paid = self.pay(request, told).await;
                paid.map(|Paid { text, finish, .. }| Answered { text, finish, from_cache: false })
            }
        };
        if matches!(outcome, Err(Failure::Cancelled)) {
            self.context.says(&format!("stopped: {}", self.bill));
        }
        outcome.map_err(|failure| in_step(step, failure))
    }

    /// Asks where nobody has asked before, or does now.
    async fn remembered(
        &mut self,
        request: &Request,
        told: Told<'_>,
        is_of_use: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<Answered, Failure> {
        let (context, key) = (self.context.clone(), kept::key(&self.source.facts, request)?);
        let (lives, asks) = (self.source.lives, AtomicBool::new(false));
        let mut useless = None;
        let found = {
            let (this, told, asks, useless) = (&mut *self, &mut *told, &asks, &mut useless);
            let load = || async move {
                asks.store(true, SeqCst);
                let Paid { text, finish, usage } = this.pay(request, told).await?;
                if !is_of_use(&text) {
                    *useless = Some(Answered { text, finish, from_cache: false });
                    return Err(Failure::retry("the answer is of no use"));
                }
                Kept::new(text, &finish, usage)?.bytes()
            };
            let read = |bytes: &Bytes| Kept::read(bytes).filter(|kept| is_of_use(&kept.text));
            let mut found = pin!(context.remembered(&key, lives, read, load));
            tokio::select! {
                biased;
                found = &mut found => found,
                () = context.cancelled() => {
                    if asks.load(SeqCst) {
                        // It hears of it itself, and says what was spent.
                        found.await
                    } else {
                        Err(Failure::Cancelled)
                    }
                }
            }
        };
        if let Some(useless) = useless {
            return Ok(useless);
        }
        let kept = found?;
        let (from_cache, finish) = (!asks.load(SeqCst), kept.finish());
        if from_cache {
            told(&kept.text);
            let saved = self.source.price.map_or(Cost::default(), |price| price.of(&kept.usage));
            self.bill.add_cached(&self.source.name, saved);
            self.context.spared(&self.name(), saved).await;
        }
        Ok(Answered { text: kept.text, finish, from_cache })
    }

    /// Asks, having set aside what it may take.
    async fn pay(&mut self, request: &Request, told: Told<'_>) -> Result<Paid, Failure> {
        if self.context.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        let model = self.source.connect(&self.context).await?;
        let aside = self.set_aside(request).await?;
        let mut answer = model.ask(request);
        let outcome = self.read(&mut answer, told).await;
        let spent = answer.spent();
        // Closes the stream before anything else is waited for.
        drop(answer);
        let used = self.used(&spent);
        if let Some(used) = &used {
            self.bill.add(&self.source.name, used);
        }
        aside.settle(used.as_ref()).await;
        match outcome {
            Ok((text, finish)) => Ok(Paid { text, finish, usage: spent.usage }),
            Err(Stopped::Cancelled) => Err(Failure::Cancelled),
            Err(Stopped::Failed(ModelError::Throttled { after, .. })) => {
                let wait = after.unwrap_or(THROTTLED_OTHERWISE);
                Err(self.context.park(&self.source.parked, wait).await)
            }
            Err(Stopped::Failed(error)) => Err(error.failure(THROTTLED_OTHERWISE)),
        }
    }

    /// Sets aside what a question may take of everything; gives all back where one of it is used up.
    async fn set_aside(&self, request: &Request) -> Result<Aside, Failure> {
        let Source { tokens, parked, price, .. } = &self.source;
        let output = u64::from(request.max_output_tokens);
        let input = request.input_tokens();
        // A call of the key: where it is parked nothing is let through.
        let call = self.context.reserve(parked, 1).await?;
        let reserved = match self.context.reserve(tokens, whole(request.most_tokens())).await {
            Ok(reserved) => reserved,
            Err(failure) => {
                call.settle(0).await;
                return Err(failure);
            }
        };
        let estimate = Estimate {
            name: self.name(),
            input_tokens: input,
            output_tokens: output,
            cost: price.map(|price| price.most(input, output)),
        };
        match self.context.spend(&estimate, self.source.longest).await {
            Ok(spend) => Ok(Aside { call, tokens: reserved, spend }),
            Err(failure) => {
                reserved.settle(0).await;
                call.settle(0).await;
                Err(failure)
            }
        }
    }

    /// What is booked of a call; nothing where nothing was asked.
    fn used(&self, spent: &Spent) -> Option<Used> {
        let Usage { input, cache_read, output, .. } = spent.usage;
        (*spent != Spent::default()).then(|| Used {
            input_tokens: input,
            provider_cached_tokens: cache_read,
            output_tokens: output,
            cost: self.source.price.map(|price| price.of(&spent.usage)),
            is_estimate: spent.is_estimate,
        })
    }

    fn name(&self) -> ModelName {
        let facts = &self.source.facts;
        ModelName { provider: facts.provider.clone(), model: facts.model.clone() }
    }

    /// Reads the answer to its end, or until the job is to stop.
    async fn read(&self, answer: &mut Answer, told: Told<'_>) -> Result<(String, Finish), Stopped> {
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

/// A whole answer that was paid for.
struct Paid {
    text: String,
    finish: Finish,
    usage: Usage,
}

/// What was set aside for a question. Dropped, all of it counts.
struct Aside {
    call: Reserve,
    tokens: Reserve,
    spend: Spend,
}

impl Aside {
    /// Gives back what was not used.
    async fn settle(self, used: Option<&Used>) {
        // Money first: should the worker be killed in between, the least is lost.
        self.spend.settle(used).await;
        self.tokens.settle(whole(used.map_or(0, Used::tokens))).await;
        self.call.settle(1).await;
    }
}

/// Why an answer was not read to its end.
enum Stopped {
    Cancelled,
    Failed(ModelError),
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
