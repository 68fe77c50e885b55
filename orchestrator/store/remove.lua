-- Gives back slot and path, writes the last events and deletes everything but the events, which
-- live on for readers that are still on their way. Returns 0 when the session is already gone.
-- KEYS: sessions, paths, session, its events, all events, their counter, turns, and every other
--       key of the session
-- ARGV: id, lifetime of the events in ms, events, channels
local id, lifetime = take(), take()
if redis.call('EXISTS', KEYS[3]) == 0 then
  return 0
end
append_events(id, KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('HDEL', KEYS[2], redis.call('HGET', KEYS[3], 'path'),
  redis.call('HGET', KEYS[3], 'place') or '')
redis.call('ZREM', KEYS[1], id)
for _, turn in ipairs(redis.call('HKEYS', KEYS[7])) do
  redis.call('DEL', 'jido:lease:' .. turn, KEYS[3] .. ':approvals:' .. turn,
    KEYS[3] .. ':answers:' .. turn)
end
redis.call('DEL', KEYS[3])
for index = 7, #KEYS do
  redis.call('DEL', KEYS[index])
end
redis.call('PEXPIRE', KEYS[4], lifetime)
publish_news()
return 1
