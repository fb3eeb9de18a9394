//! Room for what is costly, such as a file that is sent: a bound for all together, and within it a share that no tenant
//! exceeds, so that one who is slow on purpose keeps nobody else out. Must not know: what it is for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::{Problem, ProblemType};
use crate::domain::TenantId;

/// When to try again.
const SOON: Duration = Duration::from_secs(2);

/// Room in a process, for so many at one time.
pub(super) struct Room {
    all: Semaphore,
    share: usize,
    taken: Mutex<BTreeMap<TenantId, usize>>,
    /// What there is room for, as people say it.
    what: &'static str,
}

/// A place in it; dropped, it is free again.
pub(super) struct Place {
    room: &'static Room,
    tenant: TenantId,
    _permit: SemaphorePermit<'static>,
}

impl Room {
    /// For `all` of them, `share` of one tenant at most.
    pub(super) const fn new(what: &'static str, all: usize, share: usize) -> Self {
        Self { all: Semaphore::const_new(all), share, taken: Mutex::new(BTreeMap::new()), what }
    }

    /// A place for one more of a tenant.
    ///
    /// # Errors
    /// [`Problem`] where the tenant has its share, or all are taken.
    pub(super) fn enter(&'static self, tenant: &TenantId) -> Result<Place, Problem> {
        let mut taken = self.taken();
        let mine = taken.get(tenant).copied().unwrap_or(0);
        if mine >= self.share {
            let (share, what) = (self.share, self.what);
            let detail =
                format_args!("{share} {what} of the tenant at one time is its share: let one of them end");
            return Err(Problem::new(ProblemType::LimitReached, detail).after(SOON));
        }
        let permit = self.all.try_acquire().map_err(|_| {
            let detail = format_args!("there are too many {} at one time: try again", self.what);
            Problem::new(ProblemType::Unavailable, detail).after(SOON)
        })?;
        taken.insert(tenant.clone(), mine + 1);
        Ok(Place { room: self, tenant: tenant.clone(), _permit: permit })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<TenantId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        if let Some(mine) = taken.get_mut(&self.tenant) {
            *mine -= 1;
            if *mine == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FEW: Room = Room::new("things", 3, 2);

    #[test]
    fn a_tenant_takes_its_share_and_leaves_the_rest_to_others() {
        let [acme, globex] = ["acme", "globex"].map(|name| name.parse::<TenantId>().unwrap());
        let refused = |tenant: &TenantId| FEW.enter(tenant).map(drop).unwrap_err();
        let places = [FEW.enter(&acme).unwrap(), FEW.enter(&acme).unwrap()];
        assert_eq!(refused(&acme).kind(), ProblemType::LimitReached);
        let other = FEW.enter(&globex).unwrap();
        assert_eq!(refused(&globex).kind(), ProblemType::Unavailable);
        drop((places, other));
        assert!(FEW.taken().is_empty() && FEW.enter(&globex).is_ok());
    }
}
