-- Applies one set of changes to one session: all of it, or nothing when the session is gone or
-- its version is no longer the expected one. A repetition of an operation already done (a client
-- that lost the reply and asks again) changes nothing and gets the first reply.
-- KEYS: session, its events, all events, counter of all events, operation
-- ARGV: id, expected version ('' any), record ('' unchanged), lifetime of the operation in ms,
--       number of writes, each write as a list, events, channels
local id, expected, record, lifetime = take(), take(), take(), take()
local done = redis.call('GET', KEYS[5])
if done then
  return {'done', tonumber(done)}
end
local version = redis.call('HGET', KEYS[1], 'version')
if not version then
  return {'gone', 0}
end
if expected ~= '' and expected ~= version then
  return {'changed', 0}
end
if expected ~= '' then
  redis.call('HINCRBY', KEYS[1], 'version', 1)
end
if record ~= '' then
  redis.call('HSET', KEYS[1], 'record', record)
end
for _ = 1, tonumber(take()) do
  redis.call(unpack(take_list()))
end
local last = append_events(id, KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('SET', KEYS[5], string.format('%d', last), 'PX', lifetime)
publish_news()
return {'done', last}
