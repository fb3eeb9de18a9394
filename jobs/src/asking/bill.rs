//! What a job has spent. Owns: [`Bill`]. Must not know: budgets, what a tenant has spent.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::model::{Cost, Price, Spent, Usage};

/// What a job has spent on models, in all of its attempts; in its checkpoint so that none is forgotten, and in its output. Written
/// with its sums, which are not read back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", from = "Read")]
pub struct Bill {
    models: BTreeMap<String, Line>,
}

/// What was spent on one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    /// Questions that were asked, those that failed included where they may have cost something.
    pub calls: u64,
    /// Questions that were answered from the cache, at no cost.
    pub cached_calls: u64,
    /// Of the calls, those whose tokens are estimated: the provider has not told them.
    pub estimated_calls: u64,
    /// Of the calls, those whose cost nobody knows: the model has no price.
    pub unpriced_calls: u64,
    /// Tokens of the questions.
    pub input_tokens: u64,
    /// Those of them that the provider had in a cache of its own.
    pub provider_cached_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// What the priced calls have cost, in thousand-millionths of the prices' currency.
    pub cost_nanos: Cost,
    /// What the answers from the cache would have cost.
    pub saved_nanos: Cost,
}

impl Line {
    fn add(&mut self, spent: &Spent, price: Option<&Price>) {
        let Usage { input, cache_read, output, .. } = spent.usage;
        self.calls += 1;
        self.estimated_calls += u64::from(spent.is_estimate);
        self.input_tokens += input;
        self.provider_cached_tokens += cache_read;
        self.output_tokens += output;
        match price {
            Some(price) => self.cost_nanos += price.of(&spent.usage),
            None => self.unpriced_calls += 1,
        }
    }

    fn sum(&mut self, other: &Self) {
        self.calls += other.calls;
        self.cached_calls += other.cached_calls;
        self.estimated_calls += other.estimated_calls;
        self.unpriced_calls += other.unpriced_calls;
        self.input_tokens += other.input_tokens;
        self.provider_cached_tokens += other.provider_cached_tokens;
        self.output_tokens += other.output_tokens;
        self.cost_nanos += other.cost_nanos;
        self.saved_nanos += other.saved_nanos;
    }

    /// What all of it has cost; `None` where that of some call is not known.
    pub fn cost(&self) -> Option<Cost> {
        (self.unpriced_calls == 0).then_some(self.cost_nanos)
    }
}

impl Bill {
    /// By the models' names.
    pub fn models(&self) -> impl Iterator<Item = (&str, &Line)> {
        self.models.iter().map(|(name, line)| (&**name, line))
    }

    /// All models together.
    pub fn total(&self) -> Line {
        let mut total = Line::default();
        self.models.values().for_each(|line| total.sum(line));
        total
    }

    /// What all of it has cost; `None` where that of some call is not known.
    pub fn cost(&self) -> Option<Cost> {
        self.total().cost()
    }

    /// Writes a call down. One that has cost nothing, because nothing was asked, is none.
    pub(super) fn add(&mut self, model: &str, spent: &Spent, price: Option<&Price>) {
        if *spent != Spent::default() {
            self.models.entry(model.to_owned()).or_default().add(spent, price);
        }
    }
}

impl fmt::Display for Bill {
    /// In a few words: `3 calls, 1 from the cache; 1200 tokens in, 3400 out; cost 0.0123`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let calls = if total.calls == 1 { "call" } else { "calls" };
        write!(f, "{} {calls}", total.calls)?;
        if total.cached_calls > 0 {
            write!(f, ", {} from the cache", total.cached_calls)?;
        }
        write!(f, "; {} tokens in, {} out", total.input_tokens, total.output_tokens)?;
        match total.cost() {
            Some(cost) => write!(f, "; cost {cost}")?,
            None => write!(f, "; cost not known: no price is set")?,
        }
        if total.estimated_calls > 0 {
            write!(f, " (estimated in part)")?;
        }
        Ok(())
    }
}

/// As it is written: with the sums, for people.
#[derive(Serialize)]
struct Written {
    models: BTreeMap<String, Line>,
    total: Line,
    /// In whole units of the currency, as people write it.
    cost: Option<String>,
    saved: String,
    is_estimate: bool,
}

/// As it is read.
#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    models: BTreeMap<String, Line>,
}

impl From<Bill> for Written {
    fn from(bill: Bill) -> Self {
        let total = bill.total();
        Self {
            cost: total.cost().map(|cost| cost.to_string()),
            saved: total.saved_nanos.to_string(),
            is_estimate: total.estimated_calls > 0,
            total,
            models: bill.models,
        }
    }
}

impl From<Read> for Bill {
    fn from(Read { models }: Read) -> Self {
        Self { models }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(input: u64, output: u64, is_estimate: bool) -> Spent {
        Spent { usage: Usage { input, output, ..Usage::default() }, is_estimate }
    }

    #[test]
    fn a_bill_adds_up_survives_its_json_and_an_unknown_cost_stays_unknown() {
        let price: Price = toml::from_str("input = 1\noutput = 10").unwrap();
        let mut bill = Bill::default();
        bill.add("a", &spent(1_000, 100, false), Some(&price));
        bill.add("a", &spent(500, 50, true), Some(&price));
        bill.add("a", &Spent::default(), Some(&price));
        assert_eq!(bill.cost().unwrap().to_string(), "0.003");
        assert_eq!(bill.to_string(), "2 calls; 1500 tokens in, 150 out; cost 0.003 (estimated in part)");
        let json = serde_json::to_value(&bill).unwrap();
        assert_eq!((&json["cost"], &json["is_estimate"]), (&"0.003".into(), &true.into()));
        assert_eq!(serde_json::from_value::<Bill>(json).unwrap(), bill);
        bill.add("b", &spent(1, 1, false), None);
        assert_eq!((bill.cost(), bill.total().calls), (None, 3));
        assert!(serde_json::to_value(&bill).unwrap()["cost"].is_null());
        assert!(bill.to_string().contains("no price is set"), "{bill}");
    }
}
