//! What was spent, to be looked at: by day and model, and by tenant. Owns: the reports' types and bounds.

use super::{
    DAYS_KEPT, ModelName, Spending, Totals,
    account::{Account, DayBook},
};
use crate::{
    domain::{Day, TenantId},
    store::{MOST_LISTED, StoreError},
};

/// What was spent on one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpending {
    /// Which.
    pub name: ModelName,
    /// How much.
    pub totals: Totals,
}

/// What was spent in a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaySpending {
    /// Which.
    pub day: Day,
    /// By provider and model.
    pub models: Vec<ModelSpending>,
}

/// What a tenant has spent from a day to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
    /// Days on which something was spent, in order.
    pub days: Vec<DaySpending>,
}

impl Report {
    /// All days and models together.
    pub fn total(&self) -> Totals {
        let mut sum = Totals::default();
        self.days.iter().flat_map(|day| &day.models).for_each(|model| sum.sum(&model.totals));
        sum
    }
}

/// What a tenant has spent, in a listing of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSpending {
    /// Who.
    pub tenant: TenantId,
    /// How much.
    pub totals: Totals,
}

/// A piece of such a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantsPage {
    /// By name.
    pub items: Vec<TenantSpending>,
    /// Go on after this one; `None` at the end.
    pub next: Option<TenantId>,
}

/// There is no report, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Ask for other days.
    #[error("{0}")]
    Days(String),
    /// Try again later.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Under which key a day is kept. No tenant's name has a slash.
pub(super) fn key(tenant: &TenantId, day: Day) -> String {
    format!("{tenant}/{day}")
}

impl From<DayBook> for DaySpending {
    fn from(DayBook { day, models }: DayBook) -> Self {
        let models = models.into_iter().map(|entry| ModelSpending { name: entry.name, totals: entry.totals });
        let mut models: Vec<ModelSpending> = models.collect();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Self { day, models }
    }
}

impl Spending {
    /// The days that are meant: from the first of the month to today, unless they are named.
    async fn days_meant(&self, from: Option<Day>, to: Option<Day>) -> Result<(Day, Day), ReportError> {
        let today = Day::of(self.now().await?);
        let to = to.unwrap_or_else(|| from.map_or(today, |from| from.max(today)));
        let from = from.unwrap_or_else(|| to.first_of_month());
        if from > to {
            return Err(ReportError::Days(format!("{from} is after {to}")));
        }
        if to.since(from) > u64::from(DAYS_KEPT) {
            return Err(ReportError::Days(format!(
                "ask for {DAYS_KEPT} days at most: that is how long they are kept"
            )));
        }
        Ok((from, to))
    }

    /// What a tenant has spent, by default from the first of the month to today.
    ///
    /// # Errors
    /// [`ReportError`].
    pub async fn report(
        &self,
        tenant: &TenantId,
        from: Option<Day>,
        to: Option<Day>,
    ) -> Result<Report, ReportError> {
        let (from, to) = self.days_meant(from, to).await?;
        Ok(Report { from, to, days: self.days(tenant, from, to).await? })
    }

    async fn days(&self, tenant: &TenantId, from: Day, to: Day) -> Result<Vec<DaySpending>, StoreError> {
        // First the account: a day that goes to its place meanwhile is seen there.
        let (Account { today, ended, .. }, earlier) = self.account(tenant).await?;
        let mut days = Vec::new();
        let (prefix, mut after) = (format!("{tenant}/"), Some(key(tenant, from.earlier(1))));
        while let Some(place) = after {
            let page = self.0.days.list(&prefix, Some(&place), MOST_LISTED).await?;
            days.extend(page.items.into_iter().map(|document| document.value));
            after = page.next.filter(|_| days.last().is_some_and(|last: &DayBook| last.day < to));
        }
        for own in [earlier, ended, Some(today)].into_iter().flatten() {
            if !days.iter().any(|day| day.day == own.day) {
                days.push(own);
            }
        }
        days.retain(|day| (from..=to).contains(&day.day) && !day.models.is_empty());
        days.sort_by_key(|day| day.day);
        Ok(days.into_iter().map(DaySpending::from).collect())
    }

    /// What each tenant has spent, by name, from behind `after`; those that have never spent anything are not listed.
    ///
    /// # Errors
    /// [`ReportError`].
    pub async fn tenants(
        &self,
        from: Option<Day>,
        to: Option<Day>,
        after: Option<&TenantId>,
        most: usize,
    ) -> Result<TenantsPage, ReportError> {
        let (from, to) = self.days_meant(from, to).await?;
        let page = self.0.accounts.list("", after.map(TenantId::as_str), most.min(MOST_TENANTS)).await?;
        let mut items = Vec::new();
        for document in page.items {
            let Ok(tenant) = document.key.parse::<TenantId>() else { continue };
            let days = self.days(&tenant, from, to).await?;
            let totals = Report { from, to, days }.total();
            items.push(TenantSpending { tenant, totals });
        }
        Ok(TenantsPage { items, next: page.next.and_then(|key| key.parse().ok()) })
    }
}

/// How many tenants a page has at most: each is read by itself.
const MOST_TENANTS: usize = 100;
