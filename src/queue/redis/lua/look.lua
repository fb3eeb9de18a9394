-- What readers share: a job as it stands. Wants prelude.lua.

-- What a job's record says; absent where it waits and has never run, false where it can't be read.
local function record_of(packed)
    if not packed then return nil end
    local is_fine, record = pcall(cmsgpack.unpack, packed)
    return is_fine and type(record) == 'table' and record
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
    local lease = record[STATE] == 'r' and call('ZSCORE', P .. ':lease', id .. tenant)
    return {
        id, body, output, checkpoint, lease,
        record[STATE] or '?', record[ATTEMPT] or 0, record[EPOCH] or 0, record[RUN_AT] or false, record[STARTED_AT] or false,
        record[FINISHED_AT] or false, record[CANCEL_ASKED] or false, record[WORKER] or false, record[REASON] or false,
    }
end
