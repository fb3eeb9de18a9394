//! `[budgets]` of `presswork.toml`: what each tenant may spend on models, unless it is set for it alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use crate::spending::{Budget, Measure};

/// Budgets by what they are of: `daily = 5.0`, `monthly = "100.00"`, `daily-tokens = 1000000`, `monthly-tokens = "none"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetsSetting(pub BTreeMap<Measure, Option<u64>>);

/// An amount as TOML may have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(u64),
    Part(f64),
    Text(String),
}

impl BudgetsSetting {
    /// These budgets, with what is named here put over them.
    pub fn over(self, mut budget: Budget) -> Budget {
        for (measure, amount) in self.0 {
            match amount {
                Some(amount) => budget.0.insert(measure, amount),
                None => budget.0.remove(&measure),
            };
        }
        budget
    }
}

impl<'de> Deserialize<'de> for BudgetsSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<Measure, Written>::deserialize(deserializer)?;
        let read = |(measure, written): (Measure, Written)| {
            let text = match written {
                Written::Whole(amount) => amount.to_string(),
                // As it stands there: the shortest text that reads as the same number.
                Written::Part(amount) => amount.to_string(),
                Written::Text(text) if text == "none" => return Ok((measure, None)),
                Written::Text(text) => text,
            };
            let amount = measure.read(&text).map_err(|problem| {
                de::Error::custom(format_args!("the budget {measure}: {problem}, or \"none\""))
            })?;
            Ok((measure, Some(amount)))
        };
        written.into_iter().map(read).collect::<Result<_, D::Error>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layer;

    fn read(text: &str) -> Result<BudgetsSetting, String> {
        let layer = toml::from_str::<Layer>(text).map_err(|error| error.to_string())?;
        Ok(layer.budgets.unwrap_or_default())
    }

    #[test]
    fn amounts_are_money_or_tokens_and_none_lifts_a_budget() {
        let text =
            "[budgets]\ndaily = 2.5\nmonthly = \"100\"\ndaily-tokens = 50000\nmonthly-tokens = \"none\"";
        let before = Budget(BTreeMap::from([(Measure::MonthlyTokens, 9)]));
        let budget = read(text).unwrap().over(before);
        let expected = [
            (Measure::Daily, 2_500_000_000),
            (Measure::Monthly, 100_000_000_000),
            (Measure::DailyTokens, 50_000),
        ];
        assert_eq!(budget, Budget(BTreeMap::from(expected)));
    }

    #[test]
    fn a_budget_that_makes_no_sense_is_refused_by_its_name() {
        for (text, named) in [
            ("daily = -1", "daily"),
            ("daily = \"much\"", "daily"),
            ("daily-tokens = 1.5", "daily-tokens"),
            ("weekly = 1", "weekly"),
            ("daily = nan", "daily"),
        ] {
            let error = read(&format!("[budgets]\n{text}")).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
