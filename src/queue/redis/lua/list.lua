-- list: a stretch of a tenant's jobs, newest first.
-- KEYS[1] shard   ARGV time (unused), tenant, the sequence before which it begins ('' at the top), state (a letter) or '',
--                 kind or '', how many jobs it wants, how many bytes, how many entries it may look at
-- Returns the sequence it came to ('' where it came to the end), then for each job its sequence and what it is (look.lua).
-- The last job may go beyond the bytes. O(entries).

local tenant, after, state, kind = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local most, bytes, looks = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

-- Whether any job is in that state: none of a million is told at once.
local function is_any()
    for _, known in ipairs(call('SMEMBERS', P .. ':kinds')) do
        if kind == '' or kind == known then
            if unpack_lane(call('GET', P .. ':lane:' .. known .. ':' .. tenant))[state] > 0 then return true end
        end
    end
    return false
end
if after == '' and state ~= '' and not is_any() then return {''} end

-- Whether a body is of the kind: its length and name stand behind 31 bytes.
local function is_of_kind(body)
    return kind == '' or string.sub(body, 33, 32 + (string.byte(body, 32) or 0)) == kind
end

local from = after == '' and '+' or '(' .. after .. '-0'
local entries = call('XREVRANGE', P .. ':index:' .. tenant, from, '-', 'COUNT', looks)
if #entries == 0 then return {''} end
local ids = {}
for place, entry in ipairs(entries) do ids[place] = entry[2][2] end
local records = call('HMGET', P .. ':run:' .. tenant, unpack(ids))
local answer = {#entries < looks and '' or string.match(entries[#entries][1], '^%d+')}
for place, id in ipairs(ids) do
    local record = record_of(records[place])
    -- What can't be read is in no state: the caller leaves it out and says so.
    if record == false or state == '' or state == (record and record[STATE] or 'w') then
        local job = look(tenant, id, record)
        if job[2] and is_of_kind(job[2]) then
            local sequence = string.match(entries[place][1], '^%d+')
            answer[#answer + 1] = {sequence, job}
            bytes = bytes - #job[2] - (job[4] and #job[4] or 0)
            if (#answer > most or bytes <= 0) and place < #ids then
                answer[1] = sequence
                break
            end
        end
    end
end
return answer
