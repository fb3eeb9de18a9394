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

-- The record of a job: an array in msgpack, absent values are false.
local STATE = 1 -- a letter: s(cheduled) w(aiting) b(locked) r(unning) t (retrying) c(ompleted) x (cancelled) d(ead)
local KIND = 2
local PRIORITY = 3 -- 0 goes first
local ATTEMPT = 4
local MOST_ATTEMPTS = 5
local EPOCH = 6
local BYTES = 7 -- of the payload
local COST = 8
local RUN_AT = 9
local STARTED_AT = 10
local FINISHED_AT = 11
local CANCEL_ASKED = 12
local WORKER = 13
local SETTLED_EPOCH = 14 -- the last settlement that was applied: its lease,
local SETTLED_PRINT = 15 -- a fingerprint of its verdict (8 bytes),
local SETTLED_STATE = 16 -- and what it answered
local REASON = 17
local EVENTS = 18 -- the sequence number of the job's latest event
local TENTHS = 19 -- the highest percentage published, in tenths
local LOG = 20 -- changes of state that stand in no stream: arrays of sequence, time, state, attempt, reason
local STREAM = 21 -- whether the job has a stream of events
local FLAGS = 22 -- what else hangs on the job, so that most jobs cost no look: u(nique) k(ey) a(fter: it has dependents or had dependencies) b(atch) o(utput) c(heckpoint)
local SEQUENCE = 23 -- its place in the order of acceptance
local BATCH = 24 -- the batch that it belongs to (16 bytes); absent where there is none
local FOLLOWS = 25 -- the batch whose callback it is; absent where there is none
