-- inspect: jobs of a tenant as they stand.
-- KEYS[1] shard   ARGV time (unused), tenant, ids
-- Returns one array an id (look.lua), empty where there is no such job. O(ids).

local answers = {}
for place = 3, #ARGV do
    local id = ARGV[place]
    answers[place - 2] = look(ARGV[2], id, record_of(call('HGET', P .. ':run:' .. ARGV[2], id)))
end
return answers
