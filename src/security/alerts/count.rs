//! Counts by rule and subject in a window that moves, in memory. Pure; bounded.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::rule::{Hit, Rule, Threshold};
use crate::domain::Timestamp;

/// How many subjects are counted at one time; those beyond are counted as one.
const MOST_SUBJECTS: usize = 10_000;
const OTHERS: &str = "(others)";
/// A window is counted in so many steps.
const STEPS: u32 = 32;
/// How many accounts of the rule that counts accounts are told apart.
const MOST_ACCOUNTS: usize = 20_000;

/// What was counted.
#[derive(Default)]
pub(super) struct Counts {
    by_subject: HashMap<(Rule, String), Count>,
    /// Accounts whose logins were refused, and when last.
    accounts: HashMap<String, Timestamp>,
    /// When what is past was cleared away last: of the accounts, of the subjects.
    cleared: [Option<Timestamp>; 2],
}

/// The hits of one subject.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Count {
    /// Hits by step, the oldest first.
    steps: VecDeque<(Timestamp, u64)>,
    told: Option<Timestamp>,
    held_back: u64,
}

impl Counts {
    /// Counts a hit; answers the count of the window and how many were held back before, where somebody is to be told.
    pub(super) fn add(&mut self, hit: &Hit, threshold: Threshold, at: Timestamp) -> Option<(u64, u64)> {
        if hit.rule == Rule::LoginsSpread {
            return self.add_account(hit, threshold, at);
        }
        let count = self.count(hit.rule, &hit.subject, threshold.window, at);
        count.hit(hit.weight, threshold, at, None)
    }

    /// Counts accounts, not hits.
    fn add_account(&mut self, hit: &Hit, threshold: Threshold, at: Timestamp) -> Option<(u64, u64)> {
        let begin = at.before(threshold.window);
        if is_time(&mut self.cleared[0], threshold.window, at) {
            self.accounts.retain(|_, last| *last > begin);
        }
        if self.accounts.len() < MOST_ACCOUNTS {
            self.accounts.insert(subject_of(&hit.subject), at);
        }
        let accounts = self.accounts.len() as u64;
        let count = self.count(hit.rule, "", threshold.window, at);
        count.hit(hit.weight, threshold, at, Some(accounts))
    }

    fn count(&mut self, rule: Rule, subject: &str, window: Duration, at: Timestamp) -> &mut Count {
        let mut key = (rule, subject_of(subject));
        if self.by_subject.len() >= MOST_SUBJECTS && !self.by_subject.contains_key(&key) {
            let begin = at.before(window);
            if is_time(&mut self.cleared[1], window, at) {
                self.by_subject.retain(|_, count| count.steps.back().is_some_and(|(last, _)| *last > begin));
            }
            if self.by_subject.len() >= MOST_SUBJECTS {
                key.1 = OTHERS.to_owned();
            }
        }
        self.by_subject.entry(key).or_default()
    }
}

impl Count {
    /// Counts so many; answers as [`Counts::add`] does, of `counted` where that is given.
    pub(super) fn hit(
        &mut self,
        weight: u64,
        threshold: Threshold,
        at: Timestamp,
        counted: Option<u64>,
    ) -> Option<(u64, u64)> {
        let begin = at.before(threshold.window);
        while self.steps.front().is_some_and(|(step, _)| *step <= begin) {
            self.steps.pop_front();
        }
        let step = threshold.window / STEPS;
        match self.steps.back_mut() {
            Some((last, hits)) if at.since(*last) < step => *hits = hits.saturating_add(weight),
            _ => self.steps.push_back((at, weight)),
        }
        let sum = self.steps.iter().fold(0, |sum: u64, (_, hits)| sum.saturating_add(*hits));
        let sum = counted.unwrap_or(sum);
        if self.told.is_some_and(|told| at < told.after(threshold.window)) {
            self.held_back = self.held_back.saturating_add(weight);
            return None;
        }
        if sum < threshold.count {
            return None;
        }
        self.told = Some(at);
        Some((sum, std::mem::take(&mut self.held_back)))
    }
}

/// A subject, as long as it may be.
pub(super) fn subject_of(text: &str) -> String {
    text.chars().take(300).collect()
}

/// Whether a step of a window has passed since it was so last.
fn is_time(last: &mut Option<Timestamp>, window: Duration, at: Timestamp) -> bool {
    let due = last.is_none_or(|last| at.since(last) >= window / STEPS);
    if due {
        *last = Some(at);
    }
    due
}
