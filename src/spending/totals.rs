//! What was used and what it has cost, added up. Owns: [`Used`] (one call) and [`Totals`] (many).

use serde::{Deserialize, Serialize};

use crate::domain::Cost;

/// What one call of a model has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// All tokens of the question.
    pub input_tokens: u64,
    /// Those of them that the provider had in a cache of its own.
    pub provider_cached_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// What it has cost; `None` where nobody knows, which is not nothing.
    pub cost: Option<Cost>,
    /// Whether the tokens are estimated: the provider has not told them.
    pub is_estimate: bool,
}

impl Used {
    /// Question and answer together.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// Many calls together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Questions that were asked, those that failed included where they may have cost something.
    pub calls: u64,
    /// Questions that were answered from the cache, at no cost: not among the calls.
    pub cached_calls: u64,
    /// Of the calls, those whose tokens are estimated: the provider has not told them.
    pub estimated_calls: u64,
    /// Of these, those that were never settled, because their worker was killed: they count as what was reserved for them.
    pub lost_calls: u64,
    /// Of the calls, those whose cost nobody knows: the model has no price.
    pub unpriced_calls: u64,
    /// Tokens of the questions.
    pub input_tokens: u64,
    /// Those of them that the provider had in a cache of its own.
    pub provider_cached_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// What the priced calls have cost, in thousand-millionths of the prices' currency.
    #[serde(rename = "cost_nanos")]
    pub cost: Cost,
    /// What the answers from the cache would have cost.
    #[serde(rename = "saved_nanos")]
    pub saved: Cost,
}

impl Totals {
    /// Adds a call that was asked.
    pub fn add(&mut self, used: &Used) {
        self.calls = self.calls.saturating_add(1);
        self.estimated_calls += u64::from(used.is_estimate);
        self.input_tokens = self.input_tokens.saturating_add(used.input_tokens);
        self.provider_cached_tokens = self.provider_cached_tokens.saturating_add(used.provider_cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(used.output_tokens);
        match used.cost {
            Some(cost) => self.cost += cost,
            None => self.unpriced_calls += 1,
        }
    }

    /// Adds one that was answered from the cache; `saved` is what it would have cost.
    pub fn add_cached(&mut self, saved: Cost) {
        self.cached_calls = self.cached_calls.saturating_add(1);
        self.saved += saved;
    }

    /// Adds others.
    pub fn sum(&mut self, other: &Self) {
        let Self { calls, cached_calls, estimated_calls, lost_calls, unpriced_calls, .. } = *other;
        let Self { input_tokens, provider_cached_tokens, output_tokens, cost, saved, .. } = *other;
        self.calls = self.calls.saturating_add(calls);
        self.cached_calls = self.cached_calls.saturating_add(cached_calls);
        self.estimated_calls = self.estimated_calls.saturating_add(estimated_calls);
        self.lost_calls = self.lost_calls.saturating_add(lost_calls);
        self.unpriced_calls = self.unpriced_calls.saturating_add(unpriced_calls);
        self.input_tokens = self.input_tokens.saturating_add(input_tokens);
        self.provider_cached_tokens = self.provider_cached_tokens.saturating_add(provider_cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(output_tokens);
        self.cost += cost;
        self.saved += saved;
    }

    /// Questions and answers together.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// What all of it has cost; `None` where that of some call is not known.
    pub fn whole_cost(&self) -> Option<Cost> {
        (self.unpriced_calls == 0).then_some(self.cost)
    }
}
