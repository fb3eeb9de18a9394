-- why: what may hold a job up; which of it is told, Rust decides (why.rs).
-- KEYS[1] shard   ARGV time, tenant, id, kind, rank of its priority
-- Returns nothing where the tenant has no such job, else the time; the job's state and time; one of the jobs that it waits for
-- (or nil) and how many there are; the batch that it follows (or nil) and how many of its jobs have not ended; whether
-- everything, the tenant, the kind is paused; how many jobs run and may run (or nil) of the tenant, of the lane, of the kind;
-- the kind's limits as they were set (or nil); the lane's bucket, its rate (or nil), its pace (or nil);
-- how many jobs of the lane go first.
-- O(LOOKS): the jobs before this one in a longer lane are counted from both ends.

local LOOKS = 100000

local tenant, id, kind, rank = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
if call('HEXISTS', P .. ':job:' .. tenant, id) == 0 then return {} end
local lane = P .. ':lane:' .. kind .. ':' .. tenant

local record = record_of(call('HGET', P .. ':run:' .. tenant, id))
local state, run_at = 'w', 0
if record ~= nil then
    state, run_at = record and record[STATE] or '?', record and record[RUN_AT] or 0
end
local now, is_due = clock(), false
if (state == 's' or state == 't') and run_at <= now then
    -- The next claim moves it in, before those of its priority where it is the older.
    state, is_due = 'w', true
end

-- How many ids stand before this one in its lane.
local function ahead()
    local list, count = lane .. ':' .. rank, 0
    for better = 0, rank - 1 do
        count = count + call('ZCARD', lane .. ':back' .. better) + call('LLEN', lane .. ':' .. better)
    end
    if is_due then return count end
    -- Those that have been in the lane before go first.
    local back = lane .. ':back' .. rank
    local before = call('ZRANK', back, id)
    if before then return count + before end
    count = count + call('ZCARD', back)
    local place = call('LPOS', list, id, 'MAXLEN', LOOKS)
    if not place then place = call('LPOS', list, id, 'RANK', -1, 'MAXLEN', LOOKS) end
    -- In the middle of a very long lane: no fewer than were looked at.
    if not place then place = math.min(LOOKS, call('LLEN', list)) end
    return count + place
end

local paused = call('SMISMEMBER', P .. ':paused', 'everything', 'tenant:' .. tenant, 'kind:' .. kind)
local of_tenant = call('HMGET', P .. ':tenant:' .. tenant, 'most', 'most:' .. kind, 'rate:' .. kind)
local load = call('GET', P .. ':load:' .. tenant)
local running = load and struct.unpack(LOAD, load) or 0
local of_lane = unpack_lane(call('GET', lane))
local of_kind = call('HMGET', P .. ':kind:' .. kind, 'running', 'most', 'limits')

-- What a blocked job waits for: an array in msgpack, the batch that it follows or false, then the jobs that are left.
local function waits()
    local packed = state == 'b' and call('HGET', P .. ':waits:' .. tenant, id)
    local is_fine, left = pcall(cmsgpack.unpack, packed or '')
    if not is_fine or type(left) ~= 'table' then return {false, 0}, {false, 0} end
    local stored = left[1] and call('HGET', P .. ':batch:' .. tenant, left[1])
    local is_known, batch = pcall(cmsgpack.unpack, stored or '')
    -- Size, and behind what was enqueued those that completed, died, or were cancelled.
    local unfinished = is_known and type(batch) == 'table' and batch[1] - batch[3] - batch[4] - batch[5] or 0
    return {left[2] or false, #left - 1}, {left[1], math.max(unfinished, 0)}
end

local jobs, batch = waits()
return {
    now, state, run_at, jobs[1], jobs[2], batch[1], batch[2], paused[1], paused[2], paused[3],
    running, of_tenant[1], of_lane.r, of_tenant[2], of_kind[1], of_kind[2], of_kind[3],
    of_lane.bucket, of_tenant[3], of_lane.pace >= 0 and of_lane.pace, state == 'w' and ahead() or 0,
}
