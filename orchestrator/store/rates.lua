-- Uses all of the windows once, or none of them. The server's clock is the only one asked.
-- KEYS: one sorted set per window. ARGV: member, then limit and length in ms of each window.
-- Returns 0, or the milliseconds until all windows have room.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local wait = 0
for index, key in ipairs(KEYS) do
  local limit, length = tonumber(ARGV[index * 2]), tonumber(ARGV[index * 2 + 1])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - length))
  local used = redis.call('ZCARD', key)
  if used >= limit then
    local oldest = redis.call('ZRANGE', key, used - limit, used - limit, 'WITHSCORES')
    wait = math.max(wait, tonumber(oldest[2]) + length - now, 1)
  end
end
if wait > 0 then
  return wait
end
for index, key in ipairs(KEYS) do
  redis.call('ZADD', key, string.format('%.0f', now), ARGV[1])
  redis.call('PEXPIRE', key, ARGV[index * 2 + 1])
end
return 0
