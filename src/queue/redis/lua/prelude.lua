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

-- The record of a job: what changes of it. An array here, packed bytes in Redis; what is absent is 0 or ''.
-- 1 says that it could be unpacked, 2 is the format.
local STATE = 3 -- a letter: s(cheduled) w(aiting) b(locked) r(unning) t (retrying) c(ompleted) x (cancelled) d(ead)
local ATTEMPT = 4
local EPOCH = 5
local CANCEL_ASKED = 6 -- 0 or 1
local LEASE_UNTIL = 7 -- while it runs
local CLAIM = 8 -- while it runs: the number of the claim or renewal that gave its lease
local STARTED_AT = 9
local FINISHED_AT = 10
local SETTLED_EPOCH = 11 -- the last settlement that was applied: its lease,
local SETTLED_PRINT = 12 -- a fingerprint of its verdict (8 bytes),
local SETTLED_STATE = 13 -- and what it answered
local EVENTS = 14 -- the sequence number of the job's latest event
local TENTHS = 15 -- the highest percentage published, in tenths
local LOGGED = 16 -- how many entries its log has
local FLAGS = 17 -- what else hangs on the job, so that most jobs cost no look: u(nique) k(ey) a(fter: it has dependents or had dependencies) b(atch) o(utput) c(heckpoint)
local KIND = 18
local RUN_AT = 19
local PRIORITY = 20 -- 0 goes first
local MOST_ATTEMPTS = 21
local BYTES = 22 -- of the payload
local COST = 23
local SEQUENCE = 24 -- its place in the order of acceptance
local WORKER = 25 -- the latest
local REASON = 26 -- behind a `=`, where there is one
local STREAM = 27 -- which streams of events it has: e, s (events.lua)
local BATCH = 28 -- the batch that it belongs to (16 bytes)
local FOLLOWS = 29 -- the batch whose callback it is (16 bytes)
local LOG = 30 -- to the end: changes of state that stand in no stream, packed (`log_of`)

-- The bytes of a record: what changes often first, then what its body says of it too, then texts.
local HEAD, HEAD_BYTES = '>Bc1I4I4BI7I5I7I7I4c8c1I4I2B', 57
local START = HEAD .. 'Bc0Bc0'
local MIDDLE = '>I7BI4I3I3I6'
local TEXTS = '>I2c0I2c0Bc0Bc0Bc0'
local RECORD = START .. string.sub(MIDDLE, 2) .. string.sub(TEXTS, 2)
local NO_PRINT = '        '

local function pack_record(r)
    return struct.pack(RECORD, 1, r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15],
        r[16], #r[17], r[17], #r[18], r[18], r[19], r[20], r[21], r[22], r[23], r[24], #r[25], r[25], #r[26], r[26],
        #r[27], r[27], #r[28], r[28], #r[29], r[29]) .. r[30]
end

-- The record in these bytes: nothing where there are none, `false` where they are no record.
local function unpack_record(bytes)
    if not bytes then return nil end
    local record = {pcall(struct.unpack, RECORD, bytes)}
    if record[1] and record[2] == 1 and record[PRIORITY] <= 3 and string.find('swbrtcxd', record[STATE], 1, true) then
        record[LOG] = string.sub(bytes, record[LOG])
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
        local entry = {pcall(struct.unpack, LOG_ENTRY, record[LOG], at)}
        if not entry[1] then break end
        entries[place], at = {entry[2], entry[3], entry[4], entry[5], entry[6]}, entry[7]
    end
    return entries
end

-- A lane, packed: standing; its jobs by state; of those that wait those of rank 0, 1, 3, and those that have been in it
-- before; tag, era, bucket, when it was served last and how many then, pace + 1.
local LANE = '>c1I4I4I4I4I4I4I4I4I4I4I4I4dI4I7I7I4I7'

-- The lane in these bytes; one that is idle where there are none.
local function unpack_lane(bytes)
    if not bytes then
        return {
            standing = 'i', s = 0, w = 0, b = 0, r = 0, t = 0, c = 0, x = 0, d = 0, w0 = 0, w1 = 0, w3 = 0, k = 0, tag = 0, era = 0,
            bucket = 0, served = 0, lately = 0, pace = -1, is_new = true,
        }
    end
    local standing, s, w, b, r, t, c, x, d, w0, w1, w3, k, tag, era, bucket, served, lately, pace = struct.unpack(LANE, bytes)
    return {
        standing = standing, s = s, w = w, b = b, r = r, t = t, c = c, x = x, d = d, w0 = w0, w1 = w1, w3 = w3, k = k, tag = tag,
        era = era, bucket = bucket, served = served, lately = lately, pace = pace - 1, is_new = false,
    }
end

-- What a tenant uses, packed: running, waiting, bytes waiting, lanes, whether it has limits, finished.
local LOAD = '>I5I5I7I4BI5'
