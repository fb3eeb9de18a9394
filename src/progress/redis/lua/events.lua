-- Events of jobs, for the scripts of the queue: part of each script that changes a state.

-- Notes a change of state in the job's record (which the caller then stores). `id` is the job's 16 bytes.
local function note_state(record, tenant, id, now, reason)
    record[EVENTS] = record[EVENTS] + 1
    local log = record[LOG] or {}
    log[#log + 1] = { record[EVENTS], now, record[STATE], record[ATTEMPT], reason or false }
    record[LOG] = log
end
