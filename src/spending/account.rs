//! One tenant's account: what was spent today and this month, and what is reserved. Owns: [`Account`], a document and the rules
//! by which it changes; pure. Must not know: where it is kept.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Budget, Measure, Totals, Used};
use crate::domain::{Cost, Day, Timestamp};

/// How many reservations a tenant may have open: as many calls at once.
pub(super) const MOST_OPEN: usize = 2_000;
/// How many models are told apart in a day; what comes after that is counted together.
const MOST_MODELS: usize = 256;
/// What those are counted as.
const OTHERS: &str = "others";

/// Which model was asked, in the provider's words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelName {
    /// Who serves it.
    pub provider: String,
    /// What it is called there.
    pub model: String,
}

/// What one model has cost in a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub(super) name: ModelName,
    #[serde(flatten)]
    pub(super) totals: Totals,
}

/// What was spent in a day, by model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DayBook {
    pub(super) day: Day,
    pub(super) models: Vec<Entry>,
}

impl DayBook {
    pub(super) fn new(day: Day) -> Self {
        Self { day, models: Vec::new() }
    }

    pub(super) fn entry(&mut self, name: &ModelName) -> &mut Totals {
        let others = ModelName { provider: OTHERS.to_owned(), model: OTHERS.to_owned() };
        let place = self.models.iter().position(|entry| entry.name == *name);
        let is_full = self.models.len() >= MOST_MODELS;
        let place =
            place.or_else(|| self.models.iter().position(|entry| entry.name == others).filter(|_| is_full));
        let place = place.unwrap_or_else(|| {
            let name = if is_full { others } else { name.clone() };
            self.models.push(Entry { name, totals: Totals::default() });
            self.models.len() - 1
        });
        &mut self.models[place].totals
    }

    pub(super) fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        self.models.iter().for_each(|entry| sum.sum(&entry.totals));
        sum
    }
}

/// What a call may use at most, before it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Which model is asked.
    #[serde(flatten)]
    pub name: ModelName,
    /// Tokens of the question.
    pub input_tokens: u64,
    /// The most that the answer may have.
    pub output_tokens: u64,
    /// The most that it may cost; `None` where nobody knows.
    pub cost: Option<Cost>,
}

impl Estimate {
    fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// A reservation that nobody has settled yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    #[serde(flatten)]
    estimate: Estimate,
    until: Timestamp,
}

/// What a tenant has spent, and what it has reserved. What is reserved counts in every period until it is settled; it is booked on
/// the day when it is settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) today: DayBook,
    /// The month's days before today.
    month_before: Totals,
    /// A day that has ended and is not known to be in its place yet. Does not change any more.
    pub(super) ended: Option<DayBook>,
    open: BTreeMap<String, Open>,
}

/// How one budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub measure: Measure,
    /// How much may be spent; `None` where it is not limited.
    pub limit: Option<u64>,
    /// How much was.
    pub spent: u64,
    /// How much is reserved for calls that are under way.
    pub reserved: u64,
    /// When it begins anew.
    pub resets_at: Timestamp,
}

/// Why nothing was reserved, one variant per next action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Give the model a price: without one nobody can tell whether the budget holds.
    NoPrice(ModelName),
    /// Raise the budget or ask for less: the call alone may use more than the whole of it.
    TooLarge {
        /// What the call may use.
        wanted: u64,
        /// The budget.
        standing: Standing,
    },
    /// Wait until it begins anew, or raise it.
    UsedUp {
        /// What the call may use.
        wanted: u64,
        /// The budget.
        standing: Standing,
    },
    /// Wait until some of the calls that are under way have ended: as many as there may be.
    TooManyCalls,
}

impl Account {
    /// The account of somebody who has spent nothing.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            today: DayBook::new(Day::of(now)),
            month_before: Totals::default(),
            ended: None,
            open: BTreeMap::new(),
        }
    }

    /// Goes on to a time: books what was never settled, ends days. Time never goes back here. What is in `ended` before that has
    /// to be in its place.
    pub(super) fn go_on(&mut self, now: Timestamp) {
        self.book_lost(now.min(self.today.day.later(1).begins()));
        let day = Day::of(now);
        if day > self.today.day {
            let ended = std::mem::replace(&mut self.today, DayBook::new(day));
            if ended.day.first_of_month() == day.first_of_month() {
                self.month_before.sum(&ended.totals());
            } else {
                self.month_before = Totals::default();
            }
            self.ended = (!ended.models.is_empty()).then_some(ended);
        }
        self.book_lost(now);
    }

    /// Books reservations whose time is over as if all of them had been used: their worker was killed, and nobody knows better.
    fn book_lost(&mut self, now: Timestamp) {
        let today = &mut self.today;
        self.open.retain(|_, open| {
            let is_lost = open.until <= now;
            if is_lost {
                let Estimate { name, input_tokens, output_tokens, cost } = &open.estimate;
                let used = Used {
                    input_tokens: *input_tokens,
                    provider_cached_tokens: 0,
                    output_tokens: *output_tokens,
                    cost: *cost,
                    is_estimate: true,
                };
                let totals = today.entry(name);
                totals.add(&used);
                totals.lost_calls += 1;
            }
            !is_lost
        });
    }

    /// How a budget stands.
    pub(super) fn standing(&self, measure: Measure, limit: Option<u64>) -> Standing {
        let mut spent = self.today.totals();
        if !measure.is_daily() {
            spent.sum(&self.month_before);
        }
        let open = self.open.values().map(|open| &open.estimate);
        let (spent, reserved) = if measure.is_money() {
            let reserved = open.filter_map(|estimate| estimate.cost).fold(Cost::default(), Cost::plus);
            (spent.cost.as_nanos(), reserved.as_nanos())
        } else {
            (spent.tokens(), open.fold(0, |sum, estimate| u64::saturating_add(sum, estimate.tokens())))
        };
        let day = self.today.day;
        let next = if measure.is_daily() { day.later(1) } else { day.next_month() };
        Standing { measure, limit, spent, reserved, resets_at: next.begins() }
    }

    /// Reserves, where every budget has room for all of it.
    pub(super) fn reserve(
        &mut self,
        id: &str,
        estimate: &Estimate,
        budget: &Budget,
        hold: Duration,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if budget.is_of_money() && estimate.cost.is_none() {
            return Err(Refused::NoPrice(estimate.name.clone()));
        }
        let mut used_up: Option<Refused> = None;
        for (measure, limit) in &budget.0 {
            let standing = self.standing(*measure, Some(*limit));
            let wanted = match estimate.cost {
                Some(cost) if measure.is_money() => cost.as_nanos(),
                _ => estimate.tokens(),
            };
            if wanted > *limit {
                return Err(Refused::TooLarge { wanted, standing });
            }
            let taken = standing.spent.saturating_add(standing.reserved).saturating_add(wanted);
            if taken > *limit {
                // The month's is told where both are used up: it is waited for longer.
                let is_later = match &used_up {
                    Some(Refused::UsedUp { standing: other, .. }) => standing.resets_at > other.resets_at,
                    _ => true,
                };
                if is_later {
                    used_up = Some(Refused::UsedUp { wanted, standing });
                }
            }
        }
        if let Some(refused) = used_up {
            return Err(refused);
        }
        if self.open.len() >= MOST_OPEN {
            return Err(Refused::TooManyCalls);
        }
        let open = Open { estimate: estimate.clone(), until: now.after(hold) };
        self.open.insert(id.to_owned(), open);
        Ok(())
    }

    /// Books what was used instead of what was reserved; whether that was open still. `None` where nothing was asked: nothing is
    /// booked then.
    pub(super) fn settle(&mut self, id: &str, used: Option<&Used>) -> bool {
        let Some(open) = self.open.remove(id) else { return false };
        if let Some(used) = used {
            self.today.entry(&open.estimate.name).add(used);
        }
        true
    }

    /// Books an answer from the cache.
    pub(super) fn cached(&mut self, name: &ModelName, saved: Cost) {
        self.today.entry(name).add_cached(saved);
    }
}
