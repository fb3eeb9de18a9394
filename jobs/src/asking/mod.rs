//! Asking a model on behalf of a job. Owns: [`Asker`], through which every kind that writes with a model asks it: cache, key,
//! limits, budget, bill. Must not know: prompts, books, what a step is for.
//!
//! The way of a question: an identical one of the same tenant is answered from the cache; of many who ask it at once one does, the
//! others wait. Else the tenant's key is read under the lease; what the provider has asked to leave alone (`key:…`) is left alone;
//! the tokens that it may take at most are reserved at the tenant's rate (`tokens:…`), what it may cost at most of the tenant's
//! budget; the answer's pieces are given out as they come; what was used is settled and written on the bill, however it ends. A provider that limits the key parks it for all of
//! the tenant's jobs on all workers, and no attempt is spent on that. Dropped half way (a worker that is killed, a lease that is
//! lost), a reservation stays as it was estimated.

mod asker;
mod bill;
mod kept;
#[cfg(test)]
mod shared_tests;
mod source;
#[cfg(test)]
mod tests;

pub use asker::{Answered, Asker};
pub use bill::Bill;

use serde::{Deserialize, Serialize};

/// Whether a question that was asked before may be answered with what was answered then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Caching {
    /// Yes: an identical question of the same tenant to the same model is paid for once.
    #[default]
    Shared,
    /// No: it is asked anew. What it answers is kept for nobody.
    Fresh,
}
