-- What ties jobs together, what tells their pace, and how many have ended. The columns are NULL for jobs without ties,
-- and then no index has them.

ALTER TABLE jobs ADD COLUMN unique_key TEXT;
ALTER TABLE jobs ADD COLUMN unique_window TEXT;
ALTER TABLE jobs ADD COLUMN unique_latest INTEGER; -- 1: of its unique key the one accepted last
ALTER TABLE jobs ADD COLUMN dependencies BLOB; -- the jobs that had to complete first: ids of 16 bytes each
ALTER TABLE jobs ADD COLUMN batch BLOB; -- the batch it belongs to
ALTER TABLE jobs ADD COLUMN follows BLOB; -- the batch whose callback it is

CREATE UNIQUE INDEX jobs_unique ON jobs (lane, unique_key) WHERE unique_latest = 1;
-- To keep of each tenant those that ended last.
CREATE INDEX jobs_ended ON jobs (tenant, finished_at) WHERE finished_at IS NOT NULL;

-- A row a pair of jobs (their sequences) of which the second is blocked until the first has completed.
CREATE TABLE waits (
    dependency INTEGER NOT NULL,
    dependent  INTEGER NOT NULL,
    PRIMARY KEY (dependency, dependent)
) STRICT, WITHOUT ROWID;
CREATE INDEX waits_of ON waits (dependent);

CREATE TABLE batches (
    tenant    TEXT    NOT NULL,
    id        BLOB    NOT NULL, -- 16 bytes, big-endian
    size      INTEGER NOT NULL,
    enqueued  INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    dead      INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    callback  BLOB, -- a job's id
    opened_at INTEGER NOT NULL,
    ended_at  INTEGER, -- when one of its jobs ended last
    over      INTEGER NOT NULL DEFAULT 0, -- 1: all have ended once, and the callback was let go
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
-- Compared with 0: SQLite turns comparisons with a column around, and then does not know them again.
CREATE INDEX batches_over ON batches (ended_at) WHERE size - completed - dead - cancelled <= 0;
CREATE INDEX batches_abandoned ON batches (opened_at)
    WHERE size - enqueued > 0 AND enqueued - completed - dead - cancelled <= 0;

-- Microseconds from one start to the next, a moving mean; when the lane was served last, while jobs are left in it; and
-- how many started then.
ALTER TABLE lanes ADD COLUMN pace INTEGER;
ALTER TABLE lanes ADD COLUMN served_at INTEGER;
ALTER TABLE lanes ADD COLUMN served INTEGER NOT NULL DEFAULT 0;

ALTER TABLE tenants ADD COLUMN finished INTEGER NOT NULL DEFAULT 0; -- jobs that have ended and are kept
UPDATE tenants SET finished = coalesce(
    (SELECT sum(completed + cancelled + dead) FROM lanes WHERE lanes.tenant = tenants.name), 0);
CREATE INDEX tenants_finished ON tenants (finished);
