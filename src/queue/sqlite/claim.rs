//! Hands out jobs: which kinds take their turn, and which lane of a kind is next.
//!
//! Between lanes this is start-time fair queueing (Goyal, Vin, Cheng, 1996). A lane carries the virtual time of its
//! next service; the lane of least virtual time is served a small quantum and moves on by cost / weight. The kind's
//! virtual time is that of the service given last, and a lane that comes back begins there or at its own time,
//! whichever is later. A lane that can't run leaves the ring until it can, so that nobody steps over it twice.
//!
//! Owns: fairness. Must not know: what a job is.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    due,
    pace::Pace,
    row::{parsed, unreadable},
    serve::{Service, serve_lane},
    tenant::Tenants,
};
use crate::{
    domain::{KindName, TenantId, Timestamp, WorkerId},
    queue::{Ask, Claim},
};

/// Jobs that a lane is served in one go, at most, where others wait too.
const MOST_QUANTUM: usize = 8;
/// Lanes that one claim takes out of the ring at most: bounds a claim after many were put back at once.
const MOST_PARKED: usize = 1_000;
/// Bytes of payloads and checkpoints that one claim hands out before it stops: bounds what a worker has to hold.
pub(super) const MOST_BYTES: usize = 8 << 20;
/// Virtual times are set back before they come near the end of their range.
const REBASE: i64 = 1 << 60;

/// The lane to serve, and the one behind it.
pub(super) const PICK: &str =
    "SELECT id, tenant, tag, bucket, running, waiting, pace, served_at, served FROM lanes
    WHERE kind = ?1 AND standing = 'ready' ORDER BY tag LIMIT 2";

/// Who claims, for how long, and when that is.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) who: &'a WorkerId,
    pub(super) until: Timestamp,
    pub(super) now: Timestamp,
    /// Jobs a lane is served in one go.
    pub(super) quantum: usize,
}

/// A lane in the ring.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: i64,
    pub(super) tenant: TenantId,
    pub(super) tag: i64,
    pub(super) bucket: Timestamp,
    pub(super) running: u64,
    pub(super) waiting: usize,
    pub(super) pace: Pace,
}

/// A kind that may be served.
#[derive(Debug)]
struct Kind {
    name: KindName,
    tag: i64,
    served: i64,
    room: usize,
    taken: usize,
}

/// Serves an ask.
pub(super) fn claim(
    connection: &Connection,
    who: &WorkerId,
    ask: &Ask,
    now: Timestamp,
) -> rusqlite::Result<Vec<Claim>> {
    let quantum = (ask.most / 4).clamp(1, MOST_QUANTUM);
    let terms = Terms { who, until: now.after(ask.lease), now, quantum };
    let mut names = ask.kinds.clone();
    names.sort();
    names.dedup();
    let mut kinds = Vec::new();
    due::lapse_all(connection, now)?;
    for name in names {
        due::move_in(connection, &name, now)?;
        kinds.extend(Kind::load(connection, name)?);
    }
    // Who was served longest ago is first in line for what can't be shared evenly.
    kinds.sort_by_key(|kind| kind.served);
    let mut turn = kinds.iter().map(|kind| kind.served).max().unwrap_or(0);

    let mut desk =
        Desk { connection, terms, tenants: Tenants::new(connection), claims: Vec::new(), bytes: 0 };
    let (share, left_over) =
        (ask.most.checked_div(kinds.len()).unwrap_or(0), ask.most.checked_rem(kinds.len()).unwrap_or(0));
    let byte_share = MOST_BYTES / kinds.len().max(1);
    for (place, kind) in kinds.iter_mut().enumerate() {
        let extra = usize::from(place < left_over);
        let taken = desk.serve(kind, share + extra, byte_share)?;
        if extra > 0 && taken > share {
            turn += 1;
            kind.served = turn;
        }
    }
    for kind in &mut kinds {
        let missing = ask.most.saturating_sub(desk.claims.len());
        let bytes = MOST_BYTES.saturating_sub(desk.bytes);
        if missing > 0 && desk.serve(kind, missing, bytes)? > 0 {
            turn += 1;
            kind.served = turn;
        }
    }
    for kind in kinds.iter().filter(|kind| kind.taken > 0) {
        kind.save(connection)?;
    }
    desk.tenants.save_started()?;
    Ok(desk.claims)
}

impl Kind {
    /// A kind; nothing where it is unknown, paused or has no room.
    fn load(connection: &Connection, name: KindName) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT tag, served, running, max_running FROM kinds WHERE name = ?1 AND NOT EXISTS
            (SELECT 1 FROM pauses WHERE (scope, pauses.name) IN (('everything', ''), ('kind', ?1)))";
        let read = |row: &Row<'_>| {
            let (running, most): (u64, Option<u64>) = (row.get(2)?, row.get(3)?);
            let room = most.map_or(u64::MAX, |most| most.saturating_sub(running));
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            Ok((row.get(0)?, row.get(1)?, room))
        };
        let found = connection.prepare_cached(sql)?.query_row([name.as_str()], read).optional()?;
        Ok(found.filter(|(.., room)| *room > 0).map(|(tag, served, room)| Self {
            name,
            tag,
            served,
            room,
            taken: 0,
        }))
    }

    fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE kinds SET tag = ?2, served = ?3, running = running + ?4 WHERE name = ?1";
        let name = self.name.as_str();
        connection.prepare_cached(sql)?.execute(params![name, self.tag, self.served, self.taken])?;
        if self.tag > REBASE {
            connection.execute(
                "UPDATE lanes SET tag = max(tag - ?2, 0) WHERE kind = ?1",
                params![name, self.tag],
            )?;
            connection.execute("UPDATE kinds SET tag = 0 WHERE name = ?1", [name])?;
        }
        Ok(())
    }
}

struct Desk<'c> {
    connection: &'c Connection,
    terms: Terms<'c>,
    tenants: Tenants<'c>,
    claims: Vec<Claim>,
    /// Bytes that were handed out.
    bytes: usize,
}

impl Desk<'_> {
    /// Serves a kind's lanes in their order, at most `most` jobs and no more once they have so many bytes; answers how
    /// many it was.
    fn serve(&mut self, kind: &mut Kind, most: usize, mut bytes: usize) -> rusqlite::Result<usize> {
        let (most, mut taken, mut parked) = (most.min(kind.room), 0, 0);
        while taken < most && parked < MOST_PARKED && bytes > 0 {
            let Some((lane, next_tag)) = self.pick(&kind.name)? else { break };
            let tenant = self.tenants.get(&lane.tenant)?;
            let service = Service {
                kind: &kind.name,
                lane: &lane,
                tenant,
                next_tag,
                most: most - taken,
                most_bytes: bytes,
                terms: &self.terms,
            };
            let served = serve_lane(self.connection, &service, &mut self.claims)?;
            tenant.start(served.jobs, served.bytes);
            self.bytes += served.weight;
            bytes = bytes.saturating_sub(served.weight);
            kind.tag = kind.tag.max(served.began);
            parked += usize::from(served.jobs == 0);
            taken += served.jobs;
        }
        kind.room -= taken;
        kind.taken += taken;
        Ok(taken)
    }

    fn pick(&self, kind: &KindName) -> rusqlite::Result<Option<(Lane, Option<i64>)>> {
        let mut statement = self.connection.prepare_cached(PICK)?;
        let mut rows = statement.query([kind.as_str()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let lane = Lane {
            id: row.get(0)?,
            tenant: parsed(row, 1)?,
            tag: row.get(2)?,
            bucket: Timestamp::from_micros(row.get(3)?),
            running: row.get(4)?,
            waiting: usize::try_from(row.get::<_, i64>(5)?).map_err(|error| unreadable(5, error))?,
            pace: Pace { mean: row.get(6)?, served_at: row.get(7)?, served: row.get(8)? },
        };
        let next_tag = rows.next()?.map(|row| row.get(2)).transpose()?;
        Ok(Some((lane, next_tag)))
    }
}
