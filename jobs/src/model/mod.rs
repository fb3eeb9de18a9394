//! Models that write text. Owns: [`LanguageModel`], the seam between a job and whoever answers it, and the clients of real
//! servers: any that speaks OpenAI's chat completions, Anthropic's messages, Ollama's chat; and a small one that is built in.
//! Must not know: jobs, queues, books.
//!
//! A model is asked with a [`Request`] and gives an [`Answer`], whose pieces of text come as they are written:
//! ```
//! # use presswork_jobs::model::{LanguageModel, ModelError, Request, Spent};
//! # async fn example(model: &dyn LanguageModel, cancelled: impl Future<Output = ()>) -> Result<Spent, ModelError> {
//! let request = Request::new("Write one sentence.", 200)?;
//! let mut answer = model.ask(&request);
//! tokio::pin!(cancelled);
//! loop {
//!     tokio::select! {
//!         piece = answer.next() => match piece? {
//!             Some(piece) => print!("{piece}"),
//!             None => break,
//!         },
//!         () = &mut cancelled => break,
//!     }
//! }
//! // What it has cost until now, whole or not. Dropped, the answer closes its connection.
//! Ok(answer.spent())
//! # }
//! ```

mod answer;
mod anthropic;
mod builtin;
mod call;
mod error;
mod estimate;
mod lines;
mod ollama;
mod openai;
mod prices;
mod refusal;
mod registry;
mod request;
mod scrub;
mod server;
mod sse;
#[cfg(test)]
mod tests;
mod wait;

use std::fmt;

pub use answer::{Answer, Event, Finish, Spent, Usage, Used};
pub use builtin::Builtin;
pub use error::ModelError;
pub use estimate::tokens;
pub use presswork::domain::Cost;
pub use prices::Price;
pub use registry::{CACHED_FOR, Configured, Registry, RegistryError};
pub use request::{Message, Request, Role};
pub use server::{Patience, Protocol, Server, ServerModel};

/// Which model answers: what an answer depends on beside the request, and what its cost is counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelFacts {
    /// Who serves it: `openai`, `anthropic`, `ollama`, `builtin`, or what another implementation calls itself.
    pub provider: String,
    /// Where; empty where it runs in the process.
    pub base_url: String,
    /// Which one, in the provider's words.
    pub model: String,
}

/// A model that can be asked. What every implementation promises:
///
/// - [`ask`](Self::ask) returns at once; the work begins when the answer is first waited for.
/// - Text comes in pieces as it is written. An answer is whole only where its end says why it ended ([`Answer::finish`]):
///   a stream that ends without a word is a failure.
/// - An answer that is dropped stops the work behind it at once: a connection is closed, a computation ended.
/// - [`Answer::spent`] tells at any time what has been used until then, and whether that is an estimate.
/// - Nothing is tried again in here: errors say what to do next, and the queue does it.
pub trait LanguageModel: Send + Sync + fmt::Debug {
    /// Which model this is.
    fn facts(&self) -> &ModelFacts;

    /// Asks.
    fn ask(&self, request: &Request) -> Answer;
}
