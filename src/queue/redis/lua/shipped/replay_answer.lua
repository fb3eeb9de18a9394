-- The job's state, its events, and its output once it has completed, as one JSON text.

local STATES = {
    s = 'scheduled', w = 'waiting', b = 'blocked', r = 'running', t = 'retrying', c = 'completed', x = 'cancelled', d = 'dead',
}
local state = STATES[answers[1]]
if not state then return false end
local events = {}
for place = 2, #answers, 3 do
    events[#events + 1] = event_of(tenant, job, answers[place], answers[place + 1], answers[place + 2])
end
local text = '{"job":"' .. id_text('job_', job) .. '","state":"' .. state .. '","events":[' .. table.concat(events, ',')
    .. '],"more":' .. tostring(#events == most)
if answers[1] == 'c' then
    local output = redis.pcall('HGET', KEYS[1] .. ':out:' .. tenant, job)
    if type(output) == 'string' then text = text .. ',"output":' .. output end
end
return text .. '}'
