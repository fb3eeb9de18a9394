//! What a job has spent. Owns: [`Bill`]. Must not know: budgets, what a tenant has spent.

use std::{collections::BTreeMap, fmt};

use presswork::{
    domain::Cost,
    spending::{Totals, Used},
};
use serde::{Deserialize, Serialize};

/// What a job has spent on models, in all of its attempts; in its checkpoint so that none is forgotten, and in its output. Written
/// with its sums, which are not read back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", from = "Read")]
pub struct Bill {
    models: BTreeMap<String, Totals>,
}

impl Bill {
    /// By the models' names.
    pub fn models(&self) -> impl Iterator<Item = (&str, &Totals)> {
        self.models.iter().map(|(name, line)| (&**name, line))
    }

    /// All models together.
    pub fn total(&self) -> Totals {
        let mut total = Totals::default();
        self.models.values().for_each(|line| total.sum(line));
        total
    }

    /// What all of it has cost; `None` where that of some call is not known.
    pub fn cost(&self) -> Option<Cost> {
        self.total().whole_cost()
    }

    /// Writes a call down.
    pub(super) fn add(&mut self, model: &str, used: &Used) {
        self.models.entry(model.to_owned()).or_default().add(used);
    }

    /// Writes down an answer from the cache, and what it would have cost.
    pub(super) fn add_cached(&mut self, model: &str, saved: Cost) {
        self.models.entry(model.to_owned()).or_default().add_cached(saved);
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
        match total.whole_cost() {
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
    models: BTreeMap<String, Totals>,
    total: Totals,
    /// In whole units of the currency, as people write it.
    cost: Option<String>,
    saved: String,
    is_estimate: bool,
}

/// As it is read.
#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    models: BTreeMap<String, Totals>,
}

impl From<Bill> for Written {
    fn from(bill: Bill) -> Self {
        let total = bill.total();
        Self {
            cost: total.whole_cost().map(|cost| cost.to_string()),
            saved: total.saved.to_string(),
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

    fn used(input_tokens: u64, output_tokens: u64, nanos: Option<u64>, is_estimate: bool) -> Used {
        let cost = nanos.map(Cost::from_nanos);
        Used { input_tokens, output_tokens, cost, is_estimate, ..Used::default() }
    }

    #[test]
    fn a_bill_adds_up_survives_its_json_and_an_unknown_cost_stays_unknown() {
        let mut bill = Bill::default();
        bill.add("a", &used(1_000, 100, Some(2_000_000), false));
        bill.add("a", &used(500, 50, Some(1_000_000), true));
        bill.add_cached("a", Cost::from_nanos(7));
        assert_eq!(bill.cost().unwrap().to_string(), "0.003");
        let words = "2 calls, 1 from the cache; 1500 tokens in, 150 out; cost 0.003 (estimated in part)";
        assert_eq!(bill.to_string(), words);
        let json = serde_json::to_value(&bill).unwrap();
        assert_eq!((&json["cost"], &json["is_estimate"]), (&"0.003".into(), &true.into()));
        assert_eq!(json["saved"], "0.000000007");
        assert_eq!(serde_json::from_value::<Bill>(json).unwrap(), bill);
        bill.add("b", &used(1, 1, None, false));
        assert_eq!((bill.cost(), bill.total().calls), (None, 3));
        assert!(serde_json::to_value(&bill).unwrap()["cost"].is_null());
        assert!(bill.to_string().contains("no price is set"), "{bill}");
    }
}
