-- A string, or nothing where there is none or something else was put there.
local function read(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then
    redis.call('DEL', key)
    return nil
  end
  return value or nil
end
