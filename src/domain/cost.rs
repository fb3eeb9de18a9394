//! Amounts of money. Owns: [`Cost`] and its text. Must not know: prices, budgets.
//!
//! Amounts are in the currency that prices are written in; nothing is converted.

use std::{fmt, ops::AddAssign, str::FromStr};

use serde::{Deserialize, Serialize};

/// An amount of money, in thousand-millionths of the prices' currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cost(u64);

/// How many thousand-millionths a whole unit has.
const UNIT: u64 = 1_000_000_000;

impl Cost {
    /// So many thousand-millionths.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// In thousand-millionths.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Both together; the most that there is where that is more.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = self.plus(other);
    }
}

impl fmt::Display for Cost {
    /// In whole units, to the last digit that is not 0, and two at least: `0.0025`, `12.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:09}", self.0 % UNIT);
        let shown = digits.trim_end_matches('0').len().max(2);
        write!(f, "{}.{}", self.0 / UNIT, &digits[..shown])
    }
}

/// The text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of money: write it as 12.50, with at most 9 digits behind the point")]
pub struct CostError;

impl FromStr for Cost {
    type Err = CostError;

    fn from_str(text: &str) -> Result<Self, CostError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        let has_point = text.len() != whole.len();
        if whole.is_empty() || !is_number(whole) || !is_number(part) || part.len() > 9 {
            return Err(CostError);
        }
        if has_point && part.is_empty() {
            return Err(CostError);
        }
        let whole: u64 = whole.parse().map_err(|_| CostError)?;
        let part: u64 = format!("{part:0<9}").parse().map_err(|_| CostError)?;
        whole.checked_mul(UNIT).and_then(|nanos| nanos.checked_add(part)).map(Self).ok_or(CostError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_to_their_last_digit_are_read_back_and_add_up() {
        let mut sum = Cost::default();
        for (nanos, shown) in
            [(0, "0.00"), (12_500_000_000, "12.50"), (2_500_000, "0.0025"), (1, "0.000000001")]
        {
            assert_eq!(Cost::from_nanos(nanos).to_string(), shown);
            assert_eq!(shown.parse(), Ok(Cost::from_nanos(nanos)));
            sum += Cost::from_nanos(nanos);
        }
        assert_eq!(sum.as_nanos(), 12_502_500_001);
        assert_eq!("7".parse(), Ok(Cost::from_nanos(7_000_000_000)));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", " 1", "0.0000000001", "99999999999999"] {
            assert_eq!(text.parse::<Cost>(), Err(CostError), "{text}");
        }
    }
}
