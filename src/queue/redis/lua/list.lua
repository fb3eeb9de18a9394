-- list: a stretch of a tenant's jobs, newest first.
-- KEYS[1] shard   ARGV time (unused), tenant, the sequence before which it begins ('' at the top), state (a letter) or '',
--                 kind or '', how many jobs it wants, how many bytes, how many entries it may look at
-- Returns the sequence it came to ('' where it came to the end), then for each job its sequence and what it is (look.lua).
-- The last job may go beyond the bytes. O(entries).

-- Entries of the index that are read in one go.
local LISTED = 16

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

-- The jobs, the newest first, and the sequence of each; an entry of the index has one or several that follow each other.
local ids, sequences, is_end = {}, {}, false
local from, before = after == '' and '+' or '(' .. after .. '-0', tonumber(after) or math.huge
while #ids < looks and not is_end do
    local entries = call('XREVRANGE', P .. ':index:' .. tenant, from, '-', 'COUNT', LISTED)
    is_end = #entries < LISTED
    for _, entry in ipairs(entries) do
        local first, listed = tonumber(string.match(entry[1], '^%d+')), entry[2][2]
        for place = math.floor(#listed / 16) - 1, 0, -1 do
            if first + place < before and #ids < looks then
                local id = string.sub(listed, 16 * place + 1, 16 * place + 16)
                ids[#ids + 1], sequences[#sequences + 1] = id, string.format('%.0f', first + place)
            elseif first + place < before then
                is_end = false
            end
        end
        from = '(' .. entry[1]
    end
end
if #ids == 0 then return {''} end
local records = call('HMGET', P .. ':run:' .. tenant, unpack(ids))
local answer = {is_end and '' or sequences[#ids]}
for place, id in ipairs(ids) do
    local record = record_of(records[place])
    -- What can't be read is in no state: the caller leaves it out and says so.
    if record == false or state == '' or state == (record and record[STATE] or 'w') then
        local job = look(tenant, id, record)
        if job[2] and is_of_kind(job[2]) then
            local sequence = sequences[place]
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
