//! What may be spent. Owns: [`Budget`], [`Measure`], and [`Budgets`] (the defaults, and over them what is set for single
//! tenants), the collection `budgets`. Must not know: what was spent.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{Clock, Cost, TenantId},
    store::{
        Records, StoreError,
        overrides::{Overrides, Set},
    },
};

/// What a budget is of, and for which time. Days and months are the calendar's, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Money a day.
    Daily,
    /// Money a month.
    Monthly,
    /// Tokens a day, questions and answers together.
    DailyTokens,
    /// Tokens a month.
    MonthlyTokens,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Daily, Self::Monthly, Self::DailyTokens, Self::MonthlyTokens];

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Monthly => "monthly",
            Self::DailyTokens => "daily-tokens",
            Self::MonthlyTokens => "monthly-tokens",
        }
    }

    /// Whether it is of money, not of tokens.
    pub const fn is_money(self) -> bool {
        matches!(self, Self::Daily | Self::Monthly)
    }

    /// Whether it begins anew each day, not each month.
    pub const fn is_daily(self) -> bool {
        matches!(self, Self::Daily | Self::DailyTokens)
    }

    /// An amount as it is written: `12.50`, or a whole number of tokens.
    ///
    /// # Errors
    /// [`AmountError`].
    pub fn read(self, text: &str) -> Result<u64, AmountError> {
        let amount = if self.is_money() {
            text.parse().ok().map(Cost::as_nanos)
        } else {
            text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
        };
        amount.ok_or(AmountError { is_money: self.is_money() })
    }

    /// An amount of it for people.
    pub fn show(self, amount: u64) -> String {
        if self.is_money() { Cost::from_nanos(amount).to_string() } else { amount.to_string() }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is no amount of what it is to be one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", if *is_money { "not an amount of money: write it as 12.50" } else { "not a number of tokens: write it as 100000" })]
pub struct AmountError {
    is_money: bool,
}

/// The text names no budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a budget: one of daily, monthly, daily-tokens, monthly-tokens")]
pub struct MeasureError;

impl FromStr for Measure {
    type Err = MeasureError;

    fn from_str(text: &str) -> Result<Self, MeasureError> {
        Self::ALL.into_iter().find(|measure| measure.name() == text).ok_or(MeasureError)
    }
}

/// What a tenant may spend at most: thousand-millionths of the prices' currency, or tokens. What is not named is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Budget(pub BTreeMap<Measure, u64>);

impl Budget {
    /// Whether money is limited.
    pub fn is_of_money(&self) -> bool {
        self.0.keys().any(|measure| measure.is_money())
    }
}

/// The budgets that hold for each tenant: the defaults, and over them what is set for it. A change is in force everywhere
/// within a second.
pub struct Budgets {
    defaults: Budget,
    set: Overrides<Measure, u64>,
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budgets").field(&self.defaults).finish()
    }
}

impl Budgets {
    /// These defaults, and what is set in these records.
    pub fn new(defaults: Budget, records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { defaults, set: Overrides::new(records, "budgets", clock) }
    }

    /// What holds unless it is set.
    pub fn defaults(&self) -> &Budget {
        &self.defaults
    }

    /// What a tenant may spend.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn of(&self, tenant: &TenantId) -> Result<Budget, StoreError> {
        let mut budget = self.defaults.clone();
        for (measure, amount) in &*self.set.of(tenant).await? {
            match amount {
                Some(amount) => budget.0.insert(*measure, *amount),
                None => budget.0.remove(measure),
            };
        }
        Ok(budget)
    }

    /// Sets a tenant's budget, or `None` for no limit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set(
        &self,
        tenant: &TenantId,
        measure: Measure,
        amount: Option<u64>,
    ) -> Result<(), StoreError> {
        let change = |set: &mut Option<Set<Measure, u64>>| {
            set.get_or_insert_default().insert(measure, amount);
        };
        self.set.update(tenant, change).await
    }

    /// Sets all of a tenant's budgets: the default holds for those that are not named.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_all(
        &self,
        tenant: &TenantId,
        budgets: &BTreeMap<Measure, Option<u64>>,
    ) -> Result<(), StoreError> {
        let change = |set: &mut Option<Set<Measure, u64>>| {
            *set = (!budgets.is_empty()).then(|| budgets.clone());
        };
        self.set.update(tenant, change).await
    }

    /// Lets the default hold again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reset(&self, tenant: &TenantId, measure: Measure) -> Result<(), StoreError> {
        self.set.reset(tenant, &measure).await
    }
}
