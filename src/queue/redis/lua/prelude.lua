-- What all scripts of the queue share: the time, the names of keys, the record of a job.
-- KEYS[1] is the shard's hash tag, ARGV[1] the time in microseconds, empty for the server's own clock.

local P = KEYS[1]
local call = redis.call

local function server_time()
    local time = call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function clock()
    if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
    return server_time()
end

-- The record of a job: what changes of it. An array here, packed bytes in Redis (`RECORD`, in this order); what is absent
-- is 0 or ''.
local STATE = 1 -- a letter: s(cheduled) w(aiting) b(locked) r(unning) t (retrying) c(ompleted) x (cancelled) d(ead)
local PRIORITY = 2 -- 0 goes first
local ATTEMPT = 3
local MOST_ATTEMPTS = 4
local EPOCH = 5
local BYTES = 6 -- of the payload
local COST = 7
local RUN_AT = 8
local STARTED_AT = 9
local FINISHED_AT = 10
local CANCEL_ASKED = 11 -- 0 or 1
local LEASE_UNTIL = 12 -- while it runs
local CLAIM = 13 -- while it runs: the number of the claim or renewal that gave its lease
local SETTLED_EPOCH = 14 -- the last settlement that was applied: its lease,
local SETTLED_PRINT = 15 -- a fingerprint of its verdict (8 bytes),
local SETTLED_STATE = 16 -- and what it answered
local EVENTS = 17 -- the sequence number of the job's latest event
local TENTHS = 18 -- the highest percentage published, in tenths
local SEQUENCE = 19 -- its place in the order of acceptance
local KIND = 20
local WORKER = 21
local REASON = 22 -- behind a `=`, where there is one
local LOGGED = 23 -- how many entries the next one has
local LOG = 24 -- changes of state that stand in no stream, packed (`log_of`)
local STREAM = 25 -- which streams of events it has: e, s (events.lua)
local FLAGS = 26 -- what else hangs on the job, so that most jobs cost no look: u(nique) k(ey) a(fter: it has dependents or had dependencies) b(atch) o(utput) c(heckpoint)
local BATCH = 27 -- the batch that it belongs to (16 bytes)
local FOLLOWS = 28 -- the batch whose callback it is (16 bytes)

local RECORD = '>c1BI4I4I4I3I3I7I7I7BI7I5I4c8c1I4I2I6Bc0I2c0I2c0BI4c0Bc0Bc0Bc0Bc0'

local function pack_record(r)
    return struct.pack(RECORD, r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14],
        r[15], r[16], r[17], r[18], r[19], #r[20], r[20], #r[21], r[21], #r[22], r[22], r[23], #r[24], r[24], #r[25],
        r[25], #r[26], r[26], #r[27], r[27], #r[28], r[28])
end

-- The record in these bytes: nothing where there are none, `false` where they are no record.
local function unpack_record(bytes)
    if not bytes then return nil end
    local is_fine, record = pcall(function() return {struct.unpack(RECORD, bytes)} end)
    if is_fine and record[29] == #bytes + 1 and string.find('swbrtcxd', record[1], 1, true) and record[2] <= 3 then
        return record
    end
    return false
end

-- An entry of a record's log: sequence, time, state, attempt, reason ('' for none).
local LOG_ENTRY = '>I4I7c1I4I2c0'

-- The log of a record, as arrays.
local function log_of(record)
    local entries, at = {}, 1
    for place = 1, record[LOGGED] do
        local is_fine, entry = pcall(function() return {struct.unpack(LOG_ENTRY, record[LOG], at)} end)
        if not is_fine then break end
        entries[place], at = entry, entry[6]
    end
    return entries
end
