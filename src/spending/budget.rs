//! What may be spent. Owns: [`Budget`], [`Measure`], and [`Budgets`] (the defaults, and over them what is set for single
//! tenants), the collection `budgets`. Must not know: what was spent.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroUsize,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lru::LruCache;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Clock, Cost, TenantId, Timestamp},
    store::{Collection, Records, StoreError},
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

/// What is set for a tenant: an amount, or `None` for no limit.
type Overrides = BTreeMap<Measure, Option<u64>>;

/// How long what is set for a tenant is taken to be what was read last.
const FRESH: Duration = Duration::from_secs(1);
/// For how many tenants it is remembered.
const MOST_REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The budgets that hold for each tenant: the defaults, and over them what is set for it. A change is in force everywhere
/// within a second.
pub struct Budgets {
    defaults: Budget,
    set: Collection<Overrides>,
    clock: Arc<dyn Clock>,
    read: Mutex<LruCache<TenantId, (Timestamp, Arc<Overrides>)>>,
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budgets").field(&self.defaults).finish()
    }
}

impl Budgets {
    /// These defaults, and what is set in these records.
    pub fn new(defaults: Budget, records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        let set = Collection::new(records, "budgets");
        Self { defaults, set, clock, read: Mutex::new(LruCache::new(MOST_REMEMBERED)) }
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
        for (measure, amount) in &*self.overrides(tenant).await? {
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
        let change = |set: &mut Option<Overrides>| {
            set.get_or_insert_default().insert(measure, amount);
        };
        self.set.update(tenant.as_str(), change).await?;
        self.forget(tenant);
        Ok(())
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
        let change = |set: &mut Option<Overrides>| {
            *set = (!budgets.is_empty()).then(|| budgets.clone());
        };
        self.set.update(tenant.as_str(), change).await?;
        self.forget(tenant);
        Ok(())
    }

    /// Lets the default hold again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reset(&self, tenant: &TenantId, measure: Measure) -> Result<(), StoreError> {
        let change = |set: &mut Option<Overrides>| {
            if let Some(found) = set {
                found.remove(&measure);
            }
            if set.as_ref().is_some_and(BTreeMap::is_empty) {
                *set = None;
            }
        };
        self.set.update(tenant.as_str(), change).await?;
        self.forget(tenant);
        Ok(())
    }

    async fn overrides(&self, tenant: &TenantId) -> Result<Arc<Overrides>, StoreError> {
        let now = self.clock.now();
        let found = self.remembered().get(tenant).cloned();
        if let Some((read_at, set)) = found
            && now >= read_at
            && now.since(read_at) < FRESH
        {
            return Ok(set);
        }
        let set =
            Arc::new(self.set.get(tenant.as_str()).await?.map(|document| document.value).unwrap_or_default());
        self.remembered().put(tenant.clone(), (now, set.clone()));
        Ok(set)
    }

    fn forget(&self, tenant: &TenantId) {
        self.remembered().pop(tenant);
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, LruCache<TenantId, (Timestamp, Arc<Overrides>)>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
