-- batch: what is known of a batch.
-- KEYS[1] shard   ARGV time (unused), tenant, id
-- Returns nil where there is none, else size, enqueued, completed, dead, cancelled, and its callback's id or nil. O(1).

local packed = call('HGET', P .. ':batch:' .. ARGV[2], ARGV[3])
if not packed then return false end
local batch = cmsgpack.unpack(packed)
return {batch[1], batch[2], batch[3], batch[4], batch[5], batch[6]}
