-- What is asked, checked, and put as replay.lua further down takes it.

if not is_shard(KEYS[1]) or #KEYS > 2 or (KEYS[2] and KEYS[2] ~= KEYS[1] .. ':') then
    return redis.error_reply('PRESSWORK the key is the shard: {pw:0}; on a Cluster two keys: {pw:0} and {pw:0}:')
end
local job = id_bytes('job_', ARGV[2]) or uuid_bytes(ARGV[2])
local after, most = tonumber(ARGV[3] or 0), tonumber(ARGV[4] or MOST_REPLAYED)
if not job or not string.match(ARGV[1], '^[a-z0-9][a-z0-9_-]*$') or #ARGV[1] > 64 or #ARGV > 4 then
    return redis.error_reply('PRESSWORK the arguments are: tenant, job (`job_…` or a UUID), after (0), most ('
        .. MOST_REPLAYED .. ')')
end
if not (after and after >= 0 and after <= 2 ^ 53 and after % 1 == 0 and most and most >= 1 and most <= MOST_REPLAYED
    and most % 1 == 0) then
    return redis.error_reply('PRESSWORK after is a sequence number (0 for all), most is 1 to ' .. MOST_REPLAYED)
end
local tenant = ARGV[1]
local asked = {'', tenant, job, string.format('%.0f', after), tostring(most)}
