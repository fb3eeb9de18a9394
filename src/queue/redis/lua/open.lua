-- open: opens a batch and lets its callback in, or neither.
-- KEYS[1] shard
-- ARGV time, tenant, batch, how many jobs; of its callback, where it has one: kind, rank, id, body, run_at or '', key or '',
--      unique or '' (door.lua)
-- Returns {`now` or `before`}, else what the door answered, and the limits of waiting jobs and bytes ('' for none). O(1).

local page, id = open_page(ARGV[2]), ARGV[3]
local tenant = page.tenant
if batch_of(page, id) then return {'before'} end
local callback = false
if ARGV[5] then
    callback = ARGV[7]
    local answer = admit(page, ARGV[5], tonumber(ARGV[6]), callback, ARGV[8], ARGV[9], ARGV[10], ARGV[11], '', '', id)
    if answer ~= 1 then
        load_records(page, {callback})
        local record = page.records[callback]
        if (answer == 2 or #tostring(answer) == 16) and record and record[FOLLOWS] == id then return {'before'} end
        return {
            answer, tenant.most_waiting < huge and string.format('%.0f', tenant.most_waiting) or '',
            tenant.most_bytes < huge and string.format('%.0f', tenant.most_bytes) or '',
        }
    end
end
page.batches[id] = {tonumber(ARGV[4]), 0, 0, 0, 0, callback, now, false, false}
page.changed_batches[id] = true
close_page(page)
save()
wake_stirred()
return {'now'}
