-- What readers share: a job as it stands. Wants prelude.lua.

-- What a job's record says; absent where it waits and has never run, false where it can't be read.
local function record_of(packed)
    return unpack_record(packed)
end

-- A job: nothing where the tenant has none, else its id, its body, where each is there its output, its checkpoint and the
-- end of its lease, and, where it has a record, what changes of it ('?' alone where that can't be read). O(its length).
local function look(tenant, id, record)
    local body = call('HGET', P .. ':job:' .. tenant, id)
    if not body then return {} end
    if record == nil then return {id, body, false, false, false} end
    if not record then return {id, body, false, false, false, '?'} end
    local output = record[STATE] == 'c' and call('HGET', P .. ':out:' .. tenant, id)
    local checkpoint = call('HGET', P .. ':check:' .. tenant, id)
    local lease = record[STATE] == 'r' and record[LEASE_UNTIL]
    local function time(field) return record[field] > 0 and record[field] end
    return {
        id, body, output, checkpoint, lease,
        record[STATE], record[ATTEMPT], record[EPOCH], record[RUN_AT], time(STARTED_AT), time(FINISHED_AT),
        record[CANCEL_ASKED] == 1, record[STATE] == 'r' and record[WORKER], record[REASON] ~= '' and string.sub(record[REASON], 2),
    }
end
