//! The model that is built in: it runs in this process, on the processor, and is always there. Owns: [`Builtin`].
//!
//! What it is: a network of a million numbers (an LSTM over 1,024 pieces of words), trained by ourselves on Jane Austen's
//! novels and Melville's "Moby Dick", which are in the public domain; `jobs/model-training` makes it again. What it writes has
//! words, sentences and paragraphs, in the manner of those books, and people by the names that the request tells.
//!
//! What it is not: it understands nothing, follows no instruction, and knows no story. The end of the request is what it goes
//! on from. It is for the demo, for tests, and for trying things out before a key is bought: every path that a large model's
//! text takes, its text takes too, and none of it is canned.
//!
//! The same request gives the same text, on every machine: its chances come from a digest of the request. Another text comes
//! of another request. Nothing leaves the process, and nothing but time is spent; it is counted in its own pieces all the same.

mod choose;
mod names;
mod network;
mod pieces;
mod spoken;
#[cfg(test)]
mod tests;
mod weights;
mod writer;

use std::{sync::LazyLock, thread};

use futures_util::{Stream, StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::{
    weights::Weights,
    writer::{Step, Writer},
};
use super::{Answer, Event, LanguageModel, ModelError, ModelFacts, Request, Used};

/// So many pieces are read or written before another answer has its turn.
const TURN: usize = 24;

/// As many answers are worked at as there are cores; the others wait for their turn.
static CORES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(thread::available_parallelism().map_or(1, usize::from)));

/// The model that is built in.
#[derive(Clone, Debug)]
pub struct Builtin {
    facts: ModelFacts,
}

impl Builtin {
    /// What it is called, with its version: another network writes other texts.
    pub const MODEL: &'static str = "novelist-1";
    /// The longest answer that it gives, in its own pieces: a long chapter.
    pub const MOST_OUTPUT_TOKENS: u32 = 16_384;

    /// The model.
    pub fn new() -> Self {
        Self {
            facts: ModelFacts {
                provider: "builtin".to_owned(),
                base_url: String::new(),
                model: Self::MODEL.to_owned(),
            },
        }
    }
}

impl Default for Builtin {
    fn default() -> Self {
        Self::new()
    }
}

impl LanguageModel for Builtin {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn ask(&self, request: &Request) -> Answer {
        if let Err(error) = request.check() {
            return Answer::failed(request, error);
        }
        let Some(weights) = Weights::built_in() else {
            return Answer::failed(
                request,
                ModelError::settings("its weights can't be read: build it again"),
            );
        };
        let digest = Sha256::digest(request.canonical(&self.facts));
        let seed = digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let asked = request.clone();
        let begin = move || Writer::new(weights, &asked, Self::MOST_OUTPUT_TOKENS, seed);
        Answer::new(request, events(begin))
    }
}

/// An answer on its way.
enum Stage<F> {
    /// Not begun.
    Asked(F),
    Writing(Box<Writer>),
    Ended,
}

/// What comes of turns of work, each on a thread for work that blocks. Dropped, the turn under way ends with its piece.
fn events<F>(begin: F) -> impl Stream<Item = Result<Event, ModelError>> + Send + 'static
where
    F: FnOnce() -> Writer + Send + 'static,
{
    let stopped = CancellationToken::new();
    let ends = stopped.clone().drop_guard();
    let turns = stream::unfold(Stage::Asked(begin), move |stage| {
        let _while_it_is_wanted = &ends;
        turn(stage, stopped.clone())
    });
    turns.flat_map(stream::iter)
}

/// One turn: the events that it gives, and where the answer stands then.
async fn turn<F>(
    stage: Stage<F>,
    stopped: CancellationToken,
) -> Option<(Vec<Result<Event, ModelError>>, Stage<F>)>
where
    F: FnOnce() -> Writer + Send + 'static,
{
    let begin: Box<dyn FnOnce() -> Box<Writer> + Send> = match stage {
        Stage::Asked(begin) => Box::new(move || Box::new(begin())),
        Stage::Writing(writer) => Box::new(move || writer),
        Stage::Ended => return None,
    };
    let broken = |error: &dyn std::fmt::Display| (vec![Err(ModelError::broken(error))], Stage::Ended);
    let Ok(turn) = CORES.acquire().await else { return Some(broken(&"it was shut down")) };
    let worked = tokio::task::spawn_blocking(move || {
        // Whoever has dropped the answer waits for no turn, and the next one does not for this.
        let _turn = turn;
        work(begin(), &stopped)
    });
    let (writer, Step { text, finish }) = match worked.await {
        Ok(worked) => worked,
        Err(error) => return Some(broken(&error)),
    };
    let (input, output) = writer.used();
    let used = Used { input: Some(input), output: Some(output), ..Used::default() };
    let mut events = vec![Ok(Event::Text(text)), Ok(Event::Used(used))];
    let stage = if finish.is_some() { Stage::Ended } else { Stage::Writing(writer) };
    events.extend(finish.map(|finish| Ok(Event::Finished(finish))));
    Some((events, stage))
}

/// Some pieces.
fn work(mut writer: Box<Writer>, stopped: &CancellationToken) -> (Box<Writer>, Step) {
    let mut whole = Step { text: String::new(), finish: None };
    for _ in 0..TURN {
        if stopped.is_cancelled() || whole.finish.is_some() {
            break;
        }
        let step = writer.step();
        whole.text.push_str(&step.text);
        whole.finish = step.finish;
    }
    (writer, whole)
}
