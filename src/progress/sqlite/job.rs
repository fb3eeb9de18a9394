//! What progress asks of the queue's table `jobs`, in one place. Must not know: any other column of it.

use rusqlite::{Connection, OptionalExtension as _, params, types::Type};

use crate::domain::{JobId, State, TenantId};

/// Where a job stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    state: State,
    epoch: u64,
}

impl Standing {
    /// Whether the lease with this epoch holds.
    pub(super) fn may_publish(self, epoch: u64) -> bool {
        self.state == State::Running && self.epoch == epoch
    }

    /// Whether the job has ended: no event comes unless somebody requeues it.
    pub(super) fn has_ended(self) -> bool {
        self.state.is_final()
    }
}

/// Where the tenant's job stands; `None` where the tenant has no such job.
pub(super) fn find(
    connection: &Connection,
    tenant: &TenantId,
    job: JobId,
) -> rusqlite::Result<Option<Standing>> {
    let sql = "SELECT state, epoch FROM jobs WHERE id = ?1 AND tenant = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let standing = statement.query_row(params![job.as_u128().to_be_bytes(), tenant.as_str()], |row| {
        let state = row.get_ref(0)?.as_str()?.parse::<State>();
        let state =
            state.map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))?;
        Ok(Standing { state, epoch: row.get(1)? })
    });
    standing.optional()
}
