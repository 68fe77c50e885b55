-- Shared by every script that writes events: reads ARGV front to back and numbers events.
-- Numbers leave no gaps because the counter and both streams move in one script.
local position = 0

local function take()
  position = position + 1
  return ARGV[position]
end

local function take_list()
  local list = {}
  for index = 1, tonumber(take()) do
    list[index] = take()
  end
  return list
end

-- Takes: kept, kept over all sessions, then each event as JSON.
-- Returns the number of the newest event.
local function append_events(id, session, stream, all, all_counter)
  local kept, all_kept, events = take(), take(), take_list()
  local count = #events
  if count == 0 then
    return tonumber(redis.call('HGET', session, 'seq') or '0')
  end
  local last = redis.call('HINCRBY', session, 'seq', count)
  local all_last = redis.call('INCRBY', all_counter, count)
  for index = 1, count do
    local seq = string.format('%d', last - count + index)
    local all_seq = string.format('%d', all_last - count + index)
    redis.call('XADD', stream, 'MAXLEN', '~', kept, seq .. '-0', 'event', events[index])
    redis.call('XADD', all, 'MAXLEN', '~', all_kept, all_seq .. '-0',
      'event', events[index], 'session', id, 'seq', seq)
  end
  return last
end

local function publish_news()
  for _, channel in ipairs(take_list()) do
    redis.call('PUBLISH', channel, '')
  end
end
