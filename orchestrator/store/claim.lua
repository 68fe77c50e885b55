-- Takes a slot and a real path for a new session, or says who has them.
-- KEYS: sessions, paths, counter of claims, session, its events, all events, their counter,
--       operation, history, prompts, todos, approval records, allowed tools
-- ARGV: id, path, maximum, record, intent, device and inode of the path (empty when not known),
--       approval, lifetime of the operation in ms, entries, prompts, todos (none or one),
--       approval records, allowed tools, events, channels
local id, path, maximum, record, intent = take(), take(), tonumber(take()), take(), take()
-- A field of the paths that no path can be: they begin with a slash.
local place = 'place ' .. take()
local approval, lifetime = take(), take()
local entries, prompts, todos = take_list(), take_list(), take_list()
local approvals, tools = take_list(), take_list()
if redis.call('EXISTS', KEYS[8]) == 1 then
  return {'done'}
end
if redis.call('EXISTS', KEYS[4]) == 1 then
  return {'open', id}
end
-- One directory mounted at two places has two real paths, but one place on its device.
local owner = redis.call('HGET', KEYS[2], path) or redis.call('HGET', KEYS[2], place)
if owner then
  return {'open', owner}
end
-- Of two directories one of which holds the other, the outer sandbox could change the inner's.
local taken = redis.call('HGETALL', KEYS[2])
for index = 1, #taken, 2 do
  local outer, inner = taken[index] .. '/', path .. '/'
  if #inner < #outer then
    outer, inner = inner, outer
  end
  if string.sub(inner, 1, #outer) == outer then
    return {'overlap', taken[index + 1], taken[index]}
  end
end
local ids = redis.call('ZRANGE', KEYS[1], 0, -1)
if #ids >= maximum then
  local reply = {'full'}
  for _, other in ipairs(ids) do
    reply[#reply + 1] = redis.call('HGET', 'jido:session:' .. other, 'record')
  end
  return reply
end
redis.call('ZADD', KEYS[1], redis.call('INCR', KEYS[3]), id)
redis.call('HSET', KEYS[2], path, id)
if place ~= 'place ' then
  redis.call('HSET', KEYS[2], place, id)
end
redis.call('DEL', KEYS[5])
redis.call('HSET', KEYS[4], 'record', record, 'intent', intent, 'path', path, 'place', place,
  'approval', approval, 'version', 1, 'seq', 0)
-- A resumed conversation is there as soon as its session is, or neither is.
for _, entry in ipairs(entries) do
  redis.call('RPUSH', KEYS[9], entry)
end
for _, prompt in ipairs(prompts) do
  redis.call('RPUSH', KEYS[10], prompt)
end
if todos[1] then
  redis.call('SET', KEYS[11], todos[1])
end
for _, record in ipairs(approvals) do
  redis.call('RPUSH', KEYS[12], record)
end
for _, tool in ipairs(tools) do
  redis.call('SADD', KEYS[13], tool)
end
append_events(id, KEYS[4], KEYS[5], KEYS[6], KEYS[7])
redis.call('SET', KEYS[8], 0, 'PX', lifetime)
publish_news()
return {'done'}
