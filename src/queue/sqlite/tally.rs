//! Counts of lanes, tenants and kinds, gathered over a batch and written once. Owns: the counters, and that a lane
//! wakes when its first job waits and rests when its last has gone. Must not know: why a job moved.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::row::Place;
use crate::domain::{KindName, State, TenantId};

/// What a batch changed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    lanes: BTreeMap<i64, [i64; State::ALL.len()]>,
    tenants: BTreeMap<TenantId, Load>,
    kinds: BTreeMap<KindName, i64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    running: i64,
    waiting: i64,
    bytes: i64,
    finished: i64,
    /// Whether a running job of the tenant has stopped: its held lanes may have room again.
    freed: bool,
}

/// Whether a job in this state counts towards its tenant's caps at the door.
fn counts_as_waiting(state: State) -> bool {
    !state.is_final() && state != State::Running
}

const COUNT: &str = "UPDATE lanes SET
        scheduled = scheduled + ?2, waiting = waiting + ?3, blocked = blocked + ?4, running = running + ?5,
        retrying = retrying + ?6, completed = completed + ?7, cancelled = cancelled + ?8, dead = dead + ?9,
        jobs = jobs + ?2 + ?3 + ?4 + ?5 + ?6 + ?7 + ?8 + ?9,
        tag = CASE WHEN standing = 'idle' AND waiting + ?3 > 0
            THEN max(tag, (SELECT kinds.tag FROM kinds WHERE name = kind)) ELSE tag END,
        parked_until = CASE WHEN waiting + ?3 > 0 THEN parked_until END,
        served_at = CASE WHEN waiting + ?3 > 0 THEN served_at END,
        standing = CASE WHEN waiting + ?3 <= 0 THEN 'idle' WHEN standing = 'idle' THEN 'ready' ELSE standing END
    WHERE id = ?1";

/// Puts a tenant's held lanes back into the ring, without credit for the time they were out of it.
pub(super) const UNHOLD: &str = "UPDATE lanes SET standing = 'ready',
        tag = max(tag, (SELECT kinds.tag FROM kinds WHERE name = kind))
    WHERE tenant = ?1 AND standing = 'held'";

impl Tally {
    /// A job has come (`from` nothing), gone (`to` nothing) or moved.
    pub(super) fn moved(&mut self, place: &Place, from: Option<State>, to: Option<State>) {
        let lane = self.lanes.entry(place.lane).or_default();
        for (state, by) in [(from, -1), (to, 1)] {
            let Some(state) = state else { continue };
            lane[state as usize] += by;
            let load = match self.tenants.get_mut(&place.tenant) {
                Some(load) => load,
                None => self.tenants.entry(place.tenant.clone()).or_default(),
            };
            if state.is_final() {
                load.finished += by;
            } else if counts_as_waiting(state) {
                load.waiting += by;
                load.bytes += by * place.bytes;
            } else {
                load.running += by;
                load.freed |= by < 0;
                *self.kinds.entry(place.kind.clone()).or_default() += by;
            }
        }
    }

    /// Writes what was gathered.
    pub(super) fn apply(self, connection: &Connection) -> rusqlite::Result<()> {
        for (lane, by) in self.lanes.into_iter().filter(|(_, by)| *by != [0; State::ALL.len()]) {
            let [scheduled, waiting, blocked, running, retrying, completed, cancelled, dead] = by;
            connection.prepare_cached(COUNT)?.execute(params![
                lane, scheduled, waiting, blocked, running, retrying, completed, cancelled, dead
            ])?;
        }
        for (kind, running) in self.kinds.into_iter().filter(|(_, by)| *by != 0) {
            let sql = "UPDATE kinds SET running = running + ?2 WHERE name = ?1";
            connection.prepare_cached(sql)?.execute(params![kind.as_str(), running])?;
        }
        for (tenant, Load { running, waiting, bytes, finished, freed }) in self.tenants {
            let sql = "UPDATE tenants SET running = running + ?2, waiting = waiting + ?3,
                waiting_bytes = waiting_bytes + ?4, finished = finished + ?5 WHERE name = ?1";
            let parameters = params![tenant.as_str(), running, waiting, bytes, finished];
            connection.prepare_cached(sql)?.execute(parameters)?;
            if freed {
                connection.prepare_cached(UNHOLD)?.execute([tenant.as_str()])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_in_the_order_of_the_states() {
        for (place, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, place, "{state}");
        }
    }
}
