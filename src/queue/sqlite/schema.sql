-- The queue's tables. Times are microseconds since 1970, states are their names.

-- A row a job. What is large stands apart, so that a change of state does not write it again.
CREATE TABLE jobs (
    sequence        INTEGER PRIMARY KEY, -- given at acceptance: the order within a lane's priority
    id              BLOB    NOT NULL UNIQUE, -- 16 bytes, big-endian
    tenant          TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    lane            INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    priority        INTEGER NOT NULL, -- 0 goes first
    cost            INTEGER NOT NULL,
    attempt         INTEGER NOT NULL,
    max_attempts    INTEGER NOT NULL,
    epoch           INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    run_at          INTEGER NOT NULL,
    started_at      INTEGER,
    finished_at     INTEGER,
    cancel_asked    INTEGER NOT NULL,
    worker          TEXT,
    lease_until     INTEGER,
    payload_version INTEGER NOT NULL,
    payload_bytes   INTEGER NOT NULL,
    idempotency_key TEXT,
    output          TEXT, -- JSON
    reason          TEXT,
    settled_epoch   INTEGER, -- the last settlement that was applied: its lease,
    settled_verdict INTEGER, -- a fingerprint of its verdict,
    settled_state   TEXT     -- and what it answered
) STRICT;

CREATE TABLE payloads (sequence INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE checkpoints (sequence INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;

CREATE INDEX jobs_waiting ON jobs (lane, priority) WHERE state = 'waiting';
CREATE INDEX jobs_oldest ON jobs (lane, run_at) WHERE state = 'waiting';
CREATE INDEX jobs_due ON jobs (kind, run_at) WHERE state IN ('scheduled', 'retrying');
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_listed ON jobs (lane, state, id);
CREATE UNIQUE INDEX jobs_keyed ON jobs (lane, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- A row a lane: its place in the fair order of its kind, its bucket, its counts by state.
CREATE TABLE lanes (
    id           INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    tag          INTEGER NOT NULL, -- virtual time of its next service
    bucket       INTEGER NOT NULL DEFAULT 0, -- when its token bucket is full
    -- idle: nothing waits. ready: in the ring. throttled: no token before parked_until. held: until an event.
    standing     TEXT    NOT NULL DEFAULT 'idle',
    parked_until INTEGER,
    jobs         INTEGER NOT NULL DEFAULT 0, -- the sum of the counts that follow
    scheduled    INTEGER NOT NULL DEFAULT 0,
    waiting      INTEGER NOT NULL DEFAULT 0,
    blocked      INTEGER NOT NULL DEFAULT 0,
    running      INTEGER NOT NULL DEFAULT 0,
    retrying     INTEGER NOT NULL DEFAULT 0,
    completed    INTEGER NOT NULL DEFAULT 0,
    cancelled    INTEGER NOT NULL DEFAULT 0,
    dead         INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, kind)
) STRICT;

CREATE INDEX lanes_ready ON lanes (kind, tag) WHERE standing = 'ready';
CREATE INDEX lanes_throttled ON lanes (kind, parked_until) WHERE standing = 'throttled';
CREATE INDEX lanes_held ON lanes (tenant) WHERE standing = 'held';
CREATE INDEX lanes_empty ON lanes (bucket) WHERE jobs = 0;

CREATE TABLE kinds (
    name        TEXT    PRIMARY KEY,
    tag         INTEGER NOT NULL DEFAULT 0, -- virtual time: the start tag of the service given last
    served      INTEGER NOT NULL DEFAULT 0, -- rises over all kinds: who was served longest ago is next
    running     INTEGER NOT NULL DEFAULT 0,
    max_running INTEGER,
    lanes       INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
    name          TEXT    PRIMARY KEY,
    limits        TEXT, -- JSON; NULL for the defaults
    running       INTEGER NOT NULL DEFAULT 0,
    waiting       INTEGER NOT NULL DEFAULT 0, -- unfinished and not running: jobs,
    waiting_bytes INTEGER NOT NULL DEFAULT 0, -- and bytes of their payloads
    lanes         INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- scope: everything (name is empty), tenant or kind.
CREATE TABLE pauses (scope TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (scope, name)) STRICT, WITHOUT ROWID;
