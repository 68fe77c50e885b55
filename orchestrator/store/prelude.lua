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

-- Takes: kept, kept over all sessions, then type, time, data of each event.
-- Returns the number of the newest event.
local function append_events(id, session, stream, all, all_counter)
  local kept, all_kept, fields = take(), take(), take_list()
  local count = #fields / 3
  if count == 0 then
    return tonumber(redis.call('HGET', session, 'seq') or '0')
  end
  local last = redis.call('HINCRBY', session, 'seq', count)
  local all_last = redis.call('INCRBY', all_counter, count)
  for index = 1, count do
    local seq = string.format('%d', last - count + index)
    local all_seq = string.format('%d', all_last - count + index)
    local kind, time, data = fields[index * 3 - 2], fields[index * 3 - 1], fields[index * 3]
    redis.call('XADD', stream, 'MAXLEN', '~', kept, seq .. '-0',
      'type', kind, 'time', time, 'data', data)
    redis.call('XADD', all, 'MAXLEN', '~', all_kept, all_seq .. '-0',
      'session', id, 'seq', seq, 'type', kind, 'time', time, 'data', data)
  end
  return last
end

local function publish_news()
  for _, channel in ipairs(take_list()) do
    redis.call('PUBLISH', channel, '')
  end
end
