//! What tokens cost. Owns: [`Price`]. Must not know: budgets, or where prices stand.
//!
//! Amounts are in the currency that the prices are written in; nothing is converted. A price that is not known is no price of
//! nothing: what it would cost is not known either.

use presswork::domain::Cost;
use serde::{Deserialize, Deserializer, de};

use super::Usage;

/// The price of a token, in millionths of a millionth: what a million tokens cost, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate(u64);

/// No price of a million tokens is larger: a comma in the wrong place.
const HIGHEST: f64 = 1_000_000.0;

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let price = f64::deserialize(deserializer)?;
        if !(0.0..=HIGHEST).contains(&price) {
            return Err(de::Error::custom("a price is a number from 0 to 1000000, for a million tokens"));
        }
        Ok(Self((price * 1e6).round() as u64))
    }
}

/// What a model's tokens cost, a million of them: `{ input = 2.5, output = 10, cache_read = 0.25 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    input: Rate,
    output: Rate,
    /// Of the question's tokens that the provider had in a cache; as the others where it is not given.
    #[serde(default)]
    cache_read: Option<Rate>,
    /// Of those that it has put there.
    #[serde(default)]
    cache_write: Option<Rate>,
}

impl Price {
    /// Of what costs nothing: a model that runs here.
    pub const FREE: Self = Self { input: Rate(0), output: Rate(0), cache_read: None, cache_write: None };

    /// What so many tokens cost, rounded up.
    pub fn of(&self, usage: &Usage) -> Cost {
        let Usage { input, cache_read, cache_write, output } = *usage;
        let plain = input.saturating_sub(cache_read).saturating_sub(cache_write);
        let cost = |tokens: u64, rate: Rate| u128::from(tokens) * u128::from(rate.0);
        let whole = cost(plain, self.input)
            + cost(cache_read, self.cache_read.unwrap_or(self.input))
            + cost(cache_write, self.cache_write.unwrap_or(self.input))
            + cost(output, self.output);
        Cost::from_nanos(u64::try_from(whole.div_ceil(1_000)).unwrap_or(u64::MAX))
    }

    /// The most that so many tokens can cost: what is put into a provider's cache may cost more than what is not.
    pub fn most(&self, input: u64, output: u64) -> Cost {
        let usage = |cache_write| Usage { input, cache_read: 0, cache_write, output };
        self.of(&usage(0)).max(self.of(&usage(input)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Result<Price, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn tokens_cost_what_the_table_says_and_those_of_a_cache_what_it_says_of_them() {
        let usage = |input, cache_read, cache_write, output| Usage { input, cache_read, cache_write, output };
        let plain = price("input = 2.5\noutput = 10").unwrap();
        assert_eq!(plain.of(&usage(1_000_000, 0, 0, 0)).to_string(), "2.50");
        assert_eq!(plain.of(&usage(1_000, 500, 100, 200)).to_string(), "0.0045");
        assert_eq!(plain.of(&Usage::default()), Cost::default());
        let cached = price("input = 3\noutput = 15\ncache_read = 0.3\ncache_write = 3.75").unwrap();
        assert_eq!(cached.of(&usage(1_000_000, 400_000, 100_000, 0)).to_string(), "1.995");
        // Rounded up, never to nothing; never beyond what there is.
        let cheap = price("input = 0.000001\noutput = 0").unwrap();
        assert_eq!(cheap.of(&usage(1, 0, 0, 0)).as_nanos(), 1);
        let dear = price("input = 1000000\noutput = 1000000").unwrap();
        assert_eq!(dear.of(&usage(u64::MAX, 0, 0, u64::MAX)).as_nanos(), u64::MAX);
        assert_eq!(price("input = 0\noutput = 0.0").unwrap().of(&usage(9, 0, 0, 9)), Cost::default());
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for wrong in [
            "input = 1",
            "output = 1",
            "input = -1\noutput = 1",
            "input = nan\noutput = 1",
            "input = 1e9\noutput = 1",
            "input = 1\noutput = 1\ncached = 1",
        ] {
            assert!(price(wrong).is_err(), "{wrong}");
        }
    }
}
