//! What tenants spend on models, and what they may. Owns: [`Spending`]: budgets that are reserved before a call and settled after
//! it, the accounts by day, provider and model. Must not know: jobs, HTTP, prices, how a model is asked.
//!
//! A tenant's account is one document, changed by compare-and-set, so that a budget holds for all who share the engine, however
//! many calls are made at once and from wherever: what a call may cost at most is reserved before it is asked, or the call is
//! refused. What it has cost is booked when it is known, in the same step in which the reservation goes. A reservation that nobody
//! settles (its worker was killed) counts as it was made once its time is over: rather too much than too little. A day that has
//! ended is kept for [`DAYS_KEPT`] days.

mod account;
mod budget;
mod fleet;
mod report;
mod time;
mod totals;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Mutex;

pub use account::{Estimate, ModelName, Refused, Standing};
pub use budget::{AmountError, Budget, Budgets, Measure, MeasureError};
pub use report::{DaySpending, ModelSpending, Report, ReportError, TenantSpending, TenantsPage};
pub use totals::{Totals, Used};

use self::{
    account::{Account, DayBook},
    fleet::Fleet,
    time::StoreTime,
};
use crate::{
    domain::{Clock, Cost, Random, TenantId, Timestamp},
    store::{Collection, Expect, Records, StoreError},
};

/// For how many days it is kept what was spent.
pub const DAYS_KEPT: u32 = 400;
/// How often a change is tried. This process stands in line for an account, so it has one rival for each other process.
const MOST_TRIES: usize = 64;
/// How many lines this process stands in.
const LINES: usize = 64;

/// What tenants spend and may spend. Its promises:
///
/// 1. **Never beyond.** What is spent and what is reserved together stay within every budget, as long as calls use no more than was
///    reserved for them. A call that does not fit is refused before it is asked.
/// 2. **One step.** Each call is atomic across all who share the engine.
/// 3. **Settled once.** A second settlement changes nothing; a reservation that is never settled counts as it was made.
/// 4. **Whole.** What was booked is found in the report of its day, once, also where a process dies at any point.
/// 5. **By one clock.** Days and months begin by the store's own clock, where it has one: those of the processes don't matter.
/// 6. **Bounded.** 2,000 calls at once and 256 models a day and tenant; 400 days.
#[derive(Clone)]
pub struct Spending(Arc<Inner>);

struct Inner {
    accounts: Collection<Account>,
    days: Collection<DayBook>,
    budgets: Budgets,
    fleet: Fleet,
    time: StoreTime,
    random: Arc<dyn Random>,
    /// Who changes an account holds its line, so that the tasks of a process don't race each other.
    lines: Vec<Mutex<()>>,
    hasher: RandomState,
}

/// A call that may be asked: what it may cost is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Who pays.
    pub tenant: TenantId,
    /// What was set aside.
    pub estimate: Estimate,
    id: String,
}

/// What became of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// What was used counts now.
    Settled,
    /// The reservation is gone: it was settled before or its time is over, and counts as it did.
    Gone,
}

impl std::fmt::Debug for Spending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Spending").field(&self.0.budgets).finish()
    }
}

impl Spending {
    /// Accounts in these records, under these budgets.
    pub fn new(
        defaults: Budget,
        records: &Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let accounts = Collection::new(records.clone(), "spending");
        Self(Arc::new(Inner {
            time: StoreTime::new(accounts.clone(), clock.clone()),
            accounts,
            days: Collection::new(records.clone(), "spending-days"),
            budgets: Budgets::new(defaults, records.clone(), clock),
            fleet: Fleet::new(records),
            random,
            lines: (0..LINES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }))
    }

    /// The time by which all of it is booked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        self.0.time.now().await
    }

    /// What may be spent.
    pub fn budgets(&self) -> &Budgets {
        &self.0.budgets
    }

    /// Sets aside what a call may cost at most. It can be settled for as long as `hold`.
    ///
    /// # Errors
    /// [`StoreError`]; whether it was reserved is unknown then.
    pub async fn reserve(
        &self,
        tenant: &TenantId,
        estimate: &Estimate,
        hold: Duration,
    ) -> Result<Result<Reservation, Refused>, StoreError> {
        let budget = self.0.budgets.of(tenant).await?;
        let id = self.new_id();
        let reserve = |account: &mut Account, now| account.reserve(&id, estimate, &budget, hold, now);
        let reserved = self.change(tenant, reserve).await?;
        Ok(reserved.map(|()| Reservation { tenant: tenant.clone(), estimate: estimate.clone(), id }))
    }

    /// Books what a call has used instead of what was set aside for it; `None` where nothing was asked.
    ///
    /// # Errors
    /// [`StoreError`]; the same call may be repeated.
    pub async fn settle(
        &self,
        reservation: &Reservation,
        used: Option<&Used>,
    ) -> Result<Settled, StoreError> {
        let Reservation { tenant, estimate, id } = reservation;
        if !self.change(tenant, |account, _| account.settle(id, used)).await? {
            return Ok(Settled::Gone);
        }
        if let Some(used) = used {
            self.0.fleet.count(&estimate.name, |totals| totals.add(used)).await;
        }
        Ok(Settled::Settled)
    }

    /// Books an answer that came from the cache; `saved` is what it would have cost.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cached(&self, tenant: &TenantId, name: &ModelName, saved: Cost) -> Result<(), StoreError> {
        self.change(tenant, |account, _| account.cached(name, saved)).await?;
        self.0.fleet.count(name, |totals| totals.add_cached(saved)).await;
        Ok(())
    }

    /// How all of a tenant's budgets stand, those that are not limited included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn standings(&self, tenant: &TenantId) -> Result<Vec<Standing>, StoreError> {
        let budget = self.0.budgets.of(tenant).await?;
        let (account, _) = self.account(tenant).await?;
        let standing = |measure| account.standing(measure, budget.0.get(&measure).copied());
        Ok(Measure::ALL.into_iter().map(standing).collect())
    }

    /// What all tenants together have used since this was first counted, by model: for metrics. Models beyond 256 are counted
    /// together; what a process had not written yet when it was killed is missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fleet(&self) -> Result<Vec<(ModelName, Totals)>, StoreError> {
        self.0.fleet.read().await
    }

    /// The account as it is now, and a day that has ended before the last one and is perhaps not in its place yet; writes nothing.
    async fn account(&self, tenant: &TenantId) -> Result<(Account, Option<DayBook>), StoreError> {
        let now = self.0.time.now().await?;
        let found = self.0.accounts.get(tenant.as_str()).await?;
        let mut account = found.map_or_else(|| Account::new(now), |document| document.value);
        let ended = account.ended.take();
        account.go_on(now);
        Ok((account, ended))
    }

    /// Changes an account in one step: `change` is called again where another process was faster.
    async fn change<T>(
        &self,
        tenant: &TenantId,
        mut change: impl FnMut(&mut Account, Timestamp) -> T + Send,
    ) -> Result<T, StoreError> {
        let inner = &*self.0;
        let line = usize::try_from(inner.hasher.hash_one(tenant) % LINES as u64).unwrap_or(0);
        let _turn = inner.lines[line].lock().await;
        let mut tries = 1;
        loop {
            let now = inner.time.now().await?;
            let found = inner.accounts.get(tenant.as_str()).await?;
            let (before, expect) = match found {
                Some(document) => (Some(document.value), Expect::Version(document.version)),
                None => (None, Expect::Nothing),
            };
            let mut account = before.clone().unwrap_or_else(|| Account::new(now));
            if let Some(ended) = account.ended.take() {
                self.put_away(tenant, &ended).await?;
            }
            account.go_on(now);
            let answer = change(&mut account, now);
            if before.as_ref() == Some(&account) {
                return Ok(answer);
            }
            match inner.accounts.put(tenant.as_str(), &account, expect, None).await {
                Ok(_) => return Ok(answer),
                Err(StoreError::Conflict { .. }) if tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts a day that has ended into its place. It does not change any more, so whoever does it writes the same.
    async fn put_away(&self, tenant: &TenantId, ended: &DayBook) -> Result<(), StoreError> {
        let key = report::key(tenant, ended.day);
        let end = ended.day.later(DAYS_KEPT).begins();
        self.0.days.put(&key, ended, Expect::Anything, Some(end)).await.map(|_| ())
    }

    fn new_id(&self) -> String {
        let mut bytes = [0; 16];
        self.0.random.fill(&mut bytes);
        format!("{:032x}", u128::from_le_bytes(bytes))
    }
}
