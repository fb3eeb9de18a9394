-- replay: the kept events of a job above a number.
-- KEYS[1] shard   ARGV now (not used), tenant, id (16 bytes), after, most
-- Returns nothing where there is no such job; else its state (a letter), then for each event its sequence, its time and
-- what happened as JSON without braces; of what is no event something else. Reads only. O(most + changes of state).

local tenant, id, after, most = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local packed = redis.pcall('HGET', P .. ':run:' .. tenant, id)
if type(packed) ~= 'string' then
    -- A job that has never been claimed has no record, and nothing has happened to it.
    local known = redis.pcall('HEXISTS', P .. ':job:' .. tenant, id)
    return known == 1 and { 'w' } or {}
end
local record = unpack_record(packed)
if not record then return {} end

local found = {}
local streams = record[STREAM]
for stream, kind in pairs({ e = ':events:', s = ':states:' }) do
    if most > 0 and string.find(streams, stream, 1, true) then
        local range = redis.pcall('XRANGE', P .. kind .. tenant .. ':' .. id, '(' .. after .. '-18446744073709551615', '+', 'COUNT', most)
        for _, entry in ipairs(range.err and {} or range) do
            -- What is no event is told, too: whoever reads on must get past it. What has a number that none has been given yet is not.
            local sequence, fields = tonumber(string.match(entry[1], '^%d+')), entry[2]
            local body = string.match(entry[1], '-0$') and fields[4]
            if sequence <= record[EVENTS] then found[#found + 1] = { sequence, tonumber(fields[2]) or 0, body or '' } end
        end
    end
end
for _, entry in ipairs(log_of(record)) do
    if entry[1] > tonumber(after) then
        found[#found + 1] = { entry[1], entry[2], state_event(entry[3], entry[4], entry[5]) }
    end
end
table.sort(found, function(one, other) return one[1] < other[1] end)

local answer = { record[STATE] }
for place = 1, math.min(most, #found) do
    for _, part in ipairs(found[place]) do answer[#answer + 1] = part end
end
return answer
