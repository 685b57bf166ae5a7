import { type RedisScript, redisScript } from '@cays/core/redis-script'
import { opening } from './redis-scripts.ts'

/**
 * Changes who is in a room, and tells it as messages of the presence room: `join`, `update`, `leave`.
 *
 * Invariants:
 * 1. Members are users: the hash holds for each the nodes they are on and their data, as "node,node\ndata".
 *    `join` is stored when the first node is added and `leave` when the last one is removed, never else.
 * 2. Every change may be repeated: what is so already changes nothing and tells nothing.
 * 3. The set of a node names all rooms it has members in, so that any node can clean up after it.
 *
 * KEYS: meta, stream, members, rooms of the node. ARGV: as for an append up to epoch, then size, ttl, node, room,
 * '1' when the node has nobody left there, then per change kind, user and data (both JSON). Kinds: e enter or update; a assert
 * anew, which leaves the data of a present member alone; l leave; x all of the node's members leave.
 */
export function presenceScript(runId: string): RedisScript {
  return redisScript(`${opening(runId)}
local meta, stream, members, list, node = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[6]
local epoch, top, ends = open(meta, stream)
local texts = {}
local function leave(user, value)
  local at = string.find(value, '\\n', 1, true)
  local others, found = {}, false
  for one in string.gmatch(string.sub(value, 1, at - 1), '[^,]+') do
    if one == node then found = true else others[#others + 1] = one end
  end
  if not found then return end
  if #others > 0 then
    call('HSET', members, user, table.concat(others, ',') .. string.sub(value, at))
  else
    call('HDEL', members, user)
    texts[#texts + 1] = '"leave",{"user":' .. user .. '}'
  end
end
local function enter(user, data, value)
  local event = '{"user":' .. user .. ',"data":' .. data .. '}'
  if not value then
    call('HSET', members, user, node .. '\\n' .. data)
    texts[#texts + 1] = '"join",' .. event
    return
  end
  local at = string.find(value, '\\n', 1, true)
  local nodes = string.sub(value, 1, at - 1)
  local changed = data ~= string.sub(value, at + 1)
  if not string.find(',' .. nodes .. ',', ',' .. node .. ',', 1, true) then
    nodes = nodes .. ',' .. node
  elseif not changed then
    return
  end
  call('HSET', members, user, nodes .. '\\n' .. data)
  if changed then texts[#texts + 1] = '"update",' .. event end
end
for i = 9, #ARGV, 3 do
  local kind, user = ARGV[i], ARGV[i + 1]
  if kind == 'x' then
    local all = call('HGETALL', members)
    for j = 1, #all, 2 do leave(all[j], all[j + 1]) end
  else
    local value = call('HGET', members, user)
    if kind == 'l' then
      if value then leave(user, value) end
    else
      call('SADD', list, ARGV[7])
      local kept = kind == 'a' and value
      enter(user, kept and string.sub(value, string.find(value, '\\n', 1, true) + 1) or ARGV[i + 2], value)
    end
  end
end
if ARGV[8] == '1' then call('SREM', list, ARGV[7]) end
if #texts == 0 then return end
local told = table.concat(texts, '\\n')
add(meta, stream, top, #texts, told, ARGV[4], ARGV[5], ends)
call(ARGV[2], stream, epoch .. ' ' .. format('%d', top + 1) .. '\\n' .. told)`)
}

/**
 * Reads who is in a room, with the position of the presence room at that moment.
 *
 * KEYS: meta, stream, members. ARGV: epoch to open, run id. Returns epoch, top, then user and value in turn.
 */
export const ROSTER_SCRIPT: RedisScript = redisScript(`local m = redis.call('HMGET', KEYS[1], 'e', 'o')
if not m[1] then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'e', ARGV[1], 'o', 0, 'r', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], 86400000)
  m = { ARGV[1], '0' }
end
return { m[1], tonumber(m[2]), redis.call('HGETALL', KEYS[3]) }`)

/**
 * Renews the lease of a node, unless it has run out: then its name is spent, and whoever comes next cleans
 * up after it.
 *
 * KEYS: leases, scored by their end. ARGV: node, length in milliseconds.
 * Returns 'renewed', 'new' or 'expired', and the nodes whose lease has run out.
 */
export const LEASE_SCRIPT: RedisScript = redisScript(`local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
local state = 'new'
if ends then state = tonumber(ends) > now and 'renewed' or 'expired' end
if state ~= 'expired' then redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1]) end
return { state, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 16) }`)

/**
 * Whether a user is known to be in a room through a node; says again that the node has members there.
 *
 * KEYS: members, rooms of the node. ARGV: node, room, user (JSON). Returns 1 or 0.
 */
export const KNOWS_SCRIPT: RedisScript = redisScript(`redis.call('SADD', KEYS[2], ARGV[2])
local value = redis.call('HGET', KEYS[1], ARGV[3])
if not value then return 0 end
local nodes = ',' .. string.match(value, '^[^\\n]*') .. ','
return string.find(nodes, ',' .. ARGV[1] .. ',', 1, true) and 1 or 0`)

/** KEYS: leases. ARGV: node. */
export const UNLEASE_SCRIPT: RedisScript = redisScript(`return redis.call('ZREM', KEYS[1], ARGV[1])`)

/** KEYS: rooms of a node. */
export const NODE_ROOMS_SCRIPT: RedisScript = redisScript(`return redis.call('SMEMBERS', KEYS[1])`)
