"""The steps that the server takes as one: each is a Lua script, after what all of them begin with.

What holds: a script changes nothing unless the run's own key is there, the participant counts as alive, and
the lock that guards it, if any, is held. So a server that lost the run's names, a participant that was taken
for dead, and a late holder of a lock are told so.

Times are the server's, in milliseconds: the clocks of the children's machines don't matter.
"""

from __future__ import annotations

# KEYS[1]: the run's key. ARGV: the run's identity, the names' expiry in ms, the participant, the lock and the
# token that guard the step ('' for none), and the step's own arguments, from the sixth.
PRELUDE = """
local root, expiry, me = KEYS[1], ARGV[2], ARGV[3]
if redis.call('GET', root) ~= ARGV[1] then return {'gone'} end

local function key(kind, name) return root .. ':' .. kind .. ':' .. name end
local function arg(number) return ARGV[5 + number] end
local function integer(number) return string.format('%.0f', number) end

local function clock()
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end

-- Every key that is written is known by name, and expires.
local function touch(name)
  if redis.call('PTTL', name) == -1 then
    redis.call('SADD', root .. ':names', name)
    redis.call('PEXPIRE', name, expiry)
    redis.call('PEXPIRE', root .. ':names', expiry)
  end
end

local function await(kind, name, inbox)
  redis.call('SADD', key(kind .. '.waiters', name), inbox)
  touch(key(kind .. '.waiters', name))
end

local function wake(kind, name)
  local waiters = key(kind .. '.waiters', name)
  for _, inbox in ipairs(redis.call('SMEMBERS', waiters)) do
    -- One is enough: who finds it looks again.
    if redis.call('EXISTS', inbox) == 0 then
      redis.call('RPUSH', inbox, '1')
      touch(inbox)
    end
  end
  redis.call('DEL', waiters)
end

local function holds(lock, token)
  local held = redis.call('HMGET', key('lock', lock), 'token', 'deadline')
  return held[1] == token and tonumber(held[2]) > clock()
end

local function requeue(name, ticket)
  local taken = key('queue.taken', name)
  local item = redis.call('HGET', taken, ticket)
  if not item then return false end
  redis.call('HDEL', taken, ticket)
  redis.call('LPUSH', key('queue', name), item)
  touch(key('queue', name))
  wake('queue', name)
  return true
end

local function break_barrier(name, why, who)
  local barrier = key('barrier', name)
  if redis.call('HEXISTS', barrier, 'why') == 0 then
    redis.call('HSET', barrier, 'why', why, 'who', who)
    touch(barrier)
  end
  redis.call('DEL', key('barrier.arrived', name))
  wake('barrier', name)
end

-- What a participant has joined or taken, as 'kind name' or 'kind name ticket', is in its set.
local function remember(what)
  redis.call('SADD', key('holdings', me), what)
  touch(key('holdings', me))
end

-- `cleanly`: it left. Otherwise it died, and the barriers that it had joined are broken.
local function part(who, cleanly)
  local name = redis.call('HGET', root .. ':participants', who)
  if not name then return false end
  redis.call('HDEL', root .. ':participants', who)
  redis.call('HDEL', root .. ':leases', who)
  for _, held in ipairs(redis.call('SMEMBERS', key('holdings', who))) do
    local kind, ticket, of = string.match(held, '^(%S+) (%S*) (.*)$')
    if kind == 'queue' then
      requeue(of, ticket)
    elseif not cleanly then
      break_barrier(of, 'died', name)
    else
      local arrived = redis.call('HGETALL', key('barrier.arrived', of))
      for number = 1, #arrived, 2 do
        if string.match(arrived[number + 1], ' (.*)$') == who then
          redis.call('HDEL', key('barrier.arrived', of), arrived[number])
        end
      end
    end
  end
  redis.call('DEL', key('holdings', who))
  return true
end

-- The participants whose lease ran out.
local function bury()
  local leases = redis.call('HGETALL', root .. ':leases')
  if #leases > 0 then
    local now = clock()
    for number = 1, #leases, 2 do
      if tonumber(leases[number + 1]) <= now then part(leases[number], false) end
    end
  end
end
"""

# Of a participant only.
ALIVE = """
bury()
if redis.call('HEXISTS', root .. ':participants', me) == 0 then return {'dead'} end
if ARGV[4] ~= '' and not holds(ARGV[4], ARGV[5]) then return {'late'} end
"""

# ---- the run and its participants -------------------------------------------------------------------

# name, lease in ms or ''
JOIN = """
redis.call('HSET', root .. ':participants', me, arg(1))
touch(root .. ':participants')
if arg(2) ~= '' then
  redis.call('HSET', root .. ':leases', me, integer(clock() + tonumber(arg(2))))
  touch(root .. ':leases')
end
return {'ok'}
"""

# who, '1' if cleanly
PART = "return {part(arg(1), arg(2) == '1') and 'parted' or 'unknown'}"

# All names get the same expiry in one step, the run's own key among them: none is lost before it.
RENEW = """
for _, name in ipairs(redis.call('SMEMBERS', root .. ':names')) do
  if redis.call('PEXPIRE', name, expiry) == 0 then redis.call('SREM', root .. ':names', name) end
end
redis.call('PEXPIRE', root .. ':names', expiry)
redis.call('PEXPIRE', root, expiry)
if arg(1) ~= '' and redis.call('HEXISTS', root .. ':leases', me) == 1 then
  redis.call('HSET', root .. ':leases', me, integer(clock() + tonumber(arg(1))))
end
bury()
return {'ok'}
"""

CLEAR = """
for _, name in ipairs(redis.call('SMEMBERS', root .. ':names')) do redis.call('DEL', name) end
redis.call('DEL', root .. ':names', root)
return {'ok'}
"""
