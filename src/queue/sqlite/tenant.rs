//! What a batch has to know of a tenant, read once. Owns: how limits and loads are read. Must not know: jobs.

use std::collections::{HashMap, hash_map::Entry};

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::row::unreadable;
use crate::domain::{TenantId, TenantLimits};

/// A tenant's limits and load; a caller counts on within its batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Tenant {
    pub(super) limits: TenantLimits,
    pub(super) running: u64,
    pub(super) waiting: u64,
    pub(super) waiting_bytes: u64,
    pub(super) paused: bool,
    /// Jobs that this batch has started, and the bytes of their payloads.
    started: (usize, usize),
}

impl Tenant {
    /// Jobs of the tenant have been started.
    pub(super) fn start(&mut self, jobs: usize, bytes: usize) {
        self.running += jobs as u64;
        self.started.0 += jobs;
        self.started.1 += bytes;
    }
}

/// The limits in a column: what was set, or the defaults.
pub(super) fn read_limits(row: &Row<'_>, column: usize) -> rusqlite::Result<TenantLimits> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(text) => serde_json::from_str(text).map_err(|error| unreadable(column, error)),
        None => Ok(TenantLimits::default()),
    }
}

/// The tenants that a batch has met.
#[derive(Debug)]
pub(super) struct Tenants<'c> {
    connection: &'c Connection,
    met: HashMap<TenantId, Tenant>,
}

impl<'c> Tenants<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, met: HashMap::new() }
    }

    /// A tenant as it stands, with what the batch itself has counted.
    pub(super) fn get(&mut self, tenant: &TenantId) -> rusqlite::Result<&mut Tenant> {
        match self.met.entry(tenant.clone()) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(load(self.connection, tenant)?)),
        }
    }

    /// Writes what the batch has started.
    pub(super) fn save_started(self) -> rusqlite::Result<()> {
        for (name, Tenant { started: (jobs, bytes), .. }) in self.met {
            if jobs > 0 {
                let sql = "UPDATE tenants SET running = running + ?2, waiting = waiting - ?2,
                    waiting_bytes = waiting_bytes - ?3 WHERE name = ?1";
                self.connection.prepare_cached(sql)?.execute(params![name.as_str(), jobs, bytes])?;
            }
        }
        Ok(())
    }
}

fn load(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<Tenant> {
    let sql = "SELECT limits, running, waiting, waiting_bytes,
        EXISTS (SELECT 1 FROM pauses WHERE scope = 'tenant' AND pauses.name = tenants.name)
        FROM tenants WHERE name = ?1";
    let read = |row: &Row<'_>| {
        Ok(Tenant {
            limits: read_limits(row, 0)?,
            running: row.get(1)?,
            waiting: row.get(2)?,
            waiting_bytes: row.get(3)?,
            paused: row.get(4)?,
            started: (0, 0),
        })
    };
    let found = connection.prepare_cached(sql)?.query_row([tenant.as_str()], read).optional()?;
    Ok(found.unwrap_or_default())
}
