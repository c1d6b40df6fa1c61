"""The Lua scripts: what must happen in Redis at once, or would need several round trips."""

from __future__ import annotations

ESTABLISH = """
-- Make a run's document and state. KEYS: document, state. ARGV: document, then field, value, …
-- Fields that exist are kept; a hash that lives with its document is left as it is.
-- Returns whether the document was missing, and whether the hash was there.
local fresh = redis.call('EXISTS', KEYS[1]) == 0
local known = redis.call('EXISTS', KEYS[2]) == 1
if fresh or not known then
  for i = 2, #ARGV, 2 do redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PERSIST', KEYS[2])
return {fresh and 1 or 0, known and 1 or 0}
"""

RESTORE = """
-- Fill a key unless it is there. KEYS: the key. ARGV: the command that adds an item, then the items.
if redis.call('EXISTS', KEYS[1]) == 0 then
  for i = 2, #ARGV do redis.call(ARGV[1], KEYS[1], ARGV[i]) end
end
"""

READ = """
-- Read whole keys, but none that takes more than ARGV[1] bytes. KEYS[1] is only looked for.
-- Returns for each of the others {type, bytes, content}.
local found = {redis.call('EXISTS', KEYS[1])}
for i = 2, #KEYS do
  local key = KEYS[i]
  local kind = redis.call('TYPE', key).ok
  local size = kind == 'none' and 0 or redis.pcall('MEMORY', 'USAGE', key, 'SAMPLES', 0)
  if type(size) ~= 'number' then size = 0 end
  local content = {}
  if size <= tonumber(ARGV[1]) then
    if kind == 'hash' then content = redis.call('HGETALL', key)
    elseif kind == 'list' then content = redis.call('LRANGE', key, 0, -1)
    elseif kind == 'set' then content = redis.call('SMEMBERS', key) end
  end
  found[i] = {kind, size, content}
end
return found
"""

EXPIRE_IF_SMALL = """
-- Let a key expire, at once if it is long. KEYS: the key. ARGV: seconds, the most bytes of one that stays.
if redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('STRLEN', KEYS[1]) > tonumber(ARGV[2]) then
  redis.call('DEL', KEYS[1])
else
  redis.call('EXPIRE', KEYS[1], ARGV[1])
end
"""

EXPIRE_TASKS = """
-- Let the keys of some of a run's tasks expire. KEYS: the list of tasks. ARGV: first, last, seconds.
local ids = redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])
for _, id in ipairs(ids) do
  for _, ending in ipairs({'', ':result', ':error'}) do
    redis.call('EXPIRE', 'task:' .. id .. ending, ARGV[3])
  end
end
return #ids
"""

EXPIRE_AGENTS = """
-- Let the documents of a run's agents expire. KEYS: the set of agents. ARGV: seconds.
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  redis.call('EXPIRE', 'agent:' .. id, ARGV[1])
end
"""

PRUNE = """
-- Remove the members of a set whose own key is gone. KEYS: the set. ARGV: what their keys begin with.
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.call('EXISTS', ARGV[1] .. id) == 0 then redis.call('SREM', KEYS[1], id) end
end
"""
