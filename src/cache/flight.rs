//! One load at a time for each entry of this process. Owns: who loads and who waits. Must not know: where values come from.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::{key::Pattern, memory::Name};
use crate::domain::TenantId;

/// The loads under way. As many as there are callers, no more.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Name, Arc<Turn<Option<Bytes>>>>>);

/// A caller's part in a load: the one who has the turn loads, the others wait for it. Whoever ends without a value,
/// also by being dropped, leaves the turn to the next.
pub(super) struct Ticket {
    flights: Arc<Flights>,
    name: Name,
    flight: Option<Arc<Turn<Option<Bytes>>>>,
}

impl Flights {
    /// Joins the load of an entry, or begins one.
    pub(super) fn join(self: &Arc<Self>, name: &Name) -> Ticket {
        let flight = self.map().entry(name.clone()).or_default().clone();
        Ticket { flights: self.clone(), name: name.clone(), flight: Some(flight) }
    }

    /// Lets those who come from now on load anew: what is being loaded may be out of date.
    pub(super) fn detach(&self, tenant: &TenantId, pattern: &Pattern) {
        self.map().retain(|(of, key), _| of != tenant || !pattern.matches(key));
    }

    /// How many entries are being loaded.
    pub(super) fn len(&self) -> usize {
        self.map().len()
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Name, Arc<Turn<Option<Bytes>>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Ends the flight with its value: who comes from now on asks anew, who waits already is given it.
    pub(super) fn finish(&self, turn: &mut OwnedMutexGuard<Option<Bytes>>, value: &Bytes) {
        **turn = Some(value.clone());
        let mut map = self.flights.map();
        let same = |other: &Arc<_>| self.flight.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, other));
        if map.get(&self.name).is_some_and(same) {
            map.remove(&self.name);
        }
    }

    /// Waits for the turn. What is in it is what another has loaded meanwhile.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<Option<Bytes>> {
        let flight = self.flight.clone().unwrap_or_default();
        flight.lock_owned().await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut map = self.flights.map();
        // Under the lock, so that of two who leave at once the second sees that the first is gone.
        self.flight = None;
        if map.get(&self.name).is_some_and(|flight| Arc::strong_count(flight) == 1) {
            map.remove(&self.name);
        }
    }
}
