//! The time by which spending is booked: the store's own where it has one, so that no process whose clock is ahead opens a day's or
//! a month's budget before its time. Owns: [`StoreTime`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::account::Account;
use crate::{
    domain::{Clock, Timestamp},
    store::{Collection, StoreError},
};

/// How long the store is not asked again: what has passed meanwhile any process can tell.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// The store's clock, read now and then.
pub(super) struct StoreTime {
    accounts: Collection<Account>,
    clock: Arc<dyn Clock>,
    /// What the store said, and when that was in time [passed](Clock::elapsed). Held for a few instructions at a time.
    read: Mutex<Option<(Timestamp, Duration)>>,
}

impl StoreTime {
    pub(super) fn new(accounts: Collection<Account>, clock: Arc<dyn Clock>) -> Self {
        Self { accounts, clock, read: Mutex::default() }
    }

    /// The time now: at most as much behind the store's as its answer took, and not ahead of it.
    pub(super) async fn now(&self) -> Result<Timestamp, StoreError> {
        if let Some(now) = self.remembered() {
            return Ok(now);
        }
        let Some(now) = self.accounts.now().await? else { return Ok(self.clock.now()) };
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, self.clock.elapsed()));
        Ok(now)
    }

    fn remembered(&self) -> Option<Timestamp> {
        let (at, read) = (*self.read.lock().unwrap_or_else(PoisonError::into_inner))?;
        let passed = self.clock.elapsed().checked_sub(read)?;
        (passed < GOOD_FOR).then(|| at.after(passed))
    }
}
