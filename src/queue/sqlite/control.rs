//! Pauses and limits. Owns: their tables. Must not know: how they are obeyed; it only puts parked lanes back into the
//! ring, where the next claim judges them anew.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{row::parsed, tally::UNHOLD, tenant::read_limits};
use crate::{
    domain::{KindLimits, KindName, TenantId, TenantLimits, Timestamp},
    queue::Scope,
};

/// A scope as it is stored.
fn stored(scope: &Scope) -> [&str; 2] {
    match scope {
        Scope::Everything => ["everything", ""],
        Scope::Tenant(tenant) => ["tenant", tenant.as_str()],
        Scope::Kind(kind) => ["kind", kind.as_str()],
    }
}

/// Pauses a scope.
pub(super) fn pause(connection: &Connection, scope: &Scope) -> rusqlite::Result<()> {
    let sql = "INSERT INTO pauses (scope, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    connection.prepare_cached(sql)?.execute(stored(scope)).map(drop)
}

/// Ends the pause of a scope.
pub(super) fn resume(connection: &Connection, scope: &Scope) -> rusqlite::Result<()> {
    let sql = "DELETE FROM pauses WHERE scope = ?1 AND name = ?2";
    connection.prepare_cached(sql)?.execute(stored(scope))?;
    if let Scope::Tenant(tenant) = scope {
        connection.prepare_cached(UNHOLD)?.execute([tenant.as_str()])?;
    }
    Ok(())
}

/// All pauses, by scope.
pub(super) fn paused(connection: &Connection) -> rusqlite::Result<Vec<Scope>> {
    let mut statement = connection.prepare_cached("SELECT scope, name FROM pauses")?;
    let scopes = statement.query_map([], |row| {
        Ok(match row.get_ref(0)?.as_str()? {
            "tenant" => Scope::Tenant(parsed(row, 1)?),
            "kind" => Scope::Kind(parsed(row, 1)?),
            _ => Scope::Everything,
        })
    })?;
    let mut scopes = scopes.collect::<rusqlite::Result<Vec<_>>>()?;
    scopes.sort();
    Ok(scopes)
}

/// Sets a tenant's limits (JSON) or restores the defaults.
pub(super) fn set_tenant_limits(
    connection: &Connection,
    tenant: &TenantId,
    limits: Option<&str>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO tenants (name, limits) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET limits = excluded.limits";
    connection.prepare_cached(sql)?.execute(params![tenant.as_str(), limits])?;
    let sql = "DELETE FROM tenants WHERE name = ?1 AND limits IS NULL AND lanes = 0";
    connection.prepare_cached(sql)?.execute([tenant.as_str()])?;
    let sql = "UPDATE lanes SET standing = 'ready', parked_until = NULL,
            tag = max(tag, (SELECT kinds.tag FROM kinds WHERE name = kind))
        WHERE tenant = ?1 AND standing IN ('throttled', 'held')";
    connection.prepare_cached(sql)?.execute([tenant.as_str()]).map(drop)
}

/// Lets no bucket of the tenant owe more than its new rate could ever lend, from this very moment: done later, at the
/// lane's next turn, the wait until then would be owed as well.
pub(super) fn clip_buckets(
    connection: &Connection,
    tenant: &TenantId,
    limits: &TenantLimits,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE lanes SET bucket = min(bucket, ?3) WHERE tenant = ?1 AND kind = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    for (kind, lane) in &limits.kinds {
        if let Some(rate) = lane.rate {
            let empty = now.after(Duration::from_micros(rate.tolerance_micros().unsigned_abs()));
            statement.execute(params![tenant.as_str(), kind.as_str(), empty.as_micros()])?;
        }
    }
    Ok(())
}

/// A tenant's limits.
pub(super) fn tenant_limits(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<TenantLimits> {
    let mut statement = connection.prepare_cached("SELECT limits FROM tenants WHERE name = ?1")?;
    let found = statement.query_row([tenant.as_str()], |row| read_limits(row, 0)).optional()?;
    Ok(found.unwrap_or_default())
}

/// Sets a kind's limits.
pub(super) fn set_kind_limits(
    connection: &Connection,
    kind: &KindName,
    limits: KindLimits,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO kinds (name, max_running) VALUES (?1, ?2)
        ON CONFLICT DO UPDATE SET max_running = excluded.max_running";
    connection.prepare_cached(sql)?.execute(params![kind.as_str(), limits.max_running])?;
    let sql = "DELETE FROM kinds WHERE name = ?1 AND max_running IS NULL AND lanes = 0";
    connection.prepare_cached(sql)?.execute([kind.as_str()]).map(drop)
}

/// A kind's limits.
pub(super) fn kind_limits(connection: &Connection, kind: &KindName) -> rusqlite::Result<KindLimits> {
    let mut statement = connection.prepare_cached("SELECT max_running FROM kinds WHERE name = ?1")?;
    let found = statement.query_row([kind.as_str()], |row| Ok(KindLimits { max_running: row.get(0)? }));
    Ok(found.optional()?.unwrap_or_default())
}
