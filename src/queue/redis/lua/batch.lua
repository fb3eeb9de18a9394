-- batch: what is known of a batch.
-- KEYS[1] shard   ARGV time (unused), tenant, id
-- Returns nothing where there is none, else size, enqueued, completed, dead, cancelled, and its callback's id or nil. O(1).
--
-- P:batch:<tenant> holds of each batch an array in msgpack; what opens it and what counts in it write:
--   size, enqueued, completed, dead, cancelled, the callback's id or false, when it was opened, when one of its jobs ended
--   last or false, whether its callback was let go

local packed = call('HGET', P .. ':batch:' .. ARGV[2], ARGV[3])
if not packed then return {} end
local is_fine, batch = pcall(cmsgpack.unpack, packed)
if not is_fine or type(batch) ~= 'table' then return {'?'} end
return {batch[1], batch[2], batch[3], batch[4], batch[5], batch[6]}
