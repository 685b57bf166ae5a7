import { type RedisScript, redisScript } from '@cays/core/redis-script'

// Meta hash of a room: e = epoch, o = offset of the newest message, r = run id of the server that took the
// last append, p = earlier epochs with the offset they end at, newest last, as "epoch:top,epoch:top",
// t = when the history ends if nothing is appended, in milliseconds.

/**
 * Appends to rooms: dedupe, epoch, offsets, history and publish in one step.
 *
 * Invariants:
 * 1. An offset is used once per epoch. A server that restarted or took over may have lost acknowledged
 *    appends; its run id differs from the one in the meta, so it opens a new epoch before it numbers on.
 * 2. The text of the script holds the run id it was made for. A server forgets its scripts when it
 *    restarts, so a command that a client library sends again to another server, or to the same one after a
 *    restart, finds no script and does nothing. `ARGV[1] == '1'` makes the first run of a text prove that
 *    the id is this server's own.
 * 3. Epochs share the numbering: the new one begins after the old one's surviving top, and remembers it.
 * 4. A call remembers its answer for longer than it may be repeated, and a repeated one does nothing else. So
 *    what is remembered grows with calls, not with messages.
 * 5. An append that Redis refuses does not stop the others of the call.
 * 6. An entry of the history holds the messages of one append, under the offset of the last: so a call costs Redis
 *    little more than one message, and an entry is trimmed when all of its messages are too old.
 *
 * KEYS: key of the call, then per append meta, stream and, when it has one, its idempotency key.
 * ARGV: verify, publish command, epoch to open if need be, size, ttl, how long idempotency keys are remembered, then per
 * append the number of its texts, 0 standing for one with a key, and the texts joined by newlines. The channel of a
 * room has the name of its stream. Returns a line per append: "epoch:offset" of its first message, or "!" and the error.
 */
export function appendScript(runId: string): RedisScript {
  return redisScript(`${opening(runId)}
local told = call('GET', KEYS[1])
if told then return told end
local size, ttl, window, at = ARGV[4], ARGV[5], ARGV[6], 1
local function append(count, texts)
  local meta, stream, key = KEYS[at + 1], KEYS[at + 2], nil
  at = at + 2
  if count == '0' then
    at, count = at + 1, 1
    key = KEYS[at]
    local known = call('GET', key)
    if known then return known end
  end
  local epoch, top, ends = open(meta, stream)
  local first = format('%d', top + 1)
  add(meta, stream, top, count, texts, size, ttl, ends)
  local position = epoch .. ':' .. first
  if key then call('SET', key, position, 'PX', window) end
  call(ARGV[2], stream, epoch .. ' ' .. first .. '\\n' .. texts)
  return position
end
local lines = {}
for i = 7, #ARGV, 2 do
  local stored, line = pcall(append, ARGV[i], ARGV[i + 1])
  lines[#lines + 1] = stored and line or '!' .. (type(line) == 'table' and line.err or line)
end
told = table.concat(lines, '\\n')
call('SET', KEYS[1], told, 'PX', 30000)
return told`)
}

// What every script that writes into rooms begins with: the proof, `open`, which gives a room's epoch, top and
// the end of its history's life, and `add`, which stores messages as one entry, trims the history now and then, and
// prolongs the lives of the keys when an eighth of them is over. Lua's own way of writing a number takes longer than `format`.
// ARGV[1..3] as documented at appendScript.
function opening(runId: string): string {
  return `local call, format, run, now = redis.call, string.format, '${runId}', nil
if ARGV[1] == '1' and run ~= '' and not string.find(call('INFO', 'server'), 'run_id:' .. run, 1, true) then
  return redis.error_reply('RUNID mismatch')
end
local function open(meta, stream)
  local m = call('HMGET', meta, 'e', 'o', 'r', 't')
  local epoch, top = m[1], tonumber(m[2])
  if not epoch then
    call('DEL', stream)
    call('HSET', meta, 'e', ARGV[3], 'o', 0, 'r', run)
    call('PEXPIRE', meta, 86400000)
    return ARGV[3], 0, 0
  end
  local ends = tonumber(m[4] or 0)
  if run == '' or m[3] == run then return epoch, top, ends end
  local epochs = {}
  for one in string.gmatch(call('HGET', meta, 'p') or '', '[^,]+') do epochs[#epochs + 1] = one end
  epochs[#epochs + 1] = epoch .. ':' .. top
  while #epochs > 8 do table.remove(epochs, 1) end
  call('HSET', meta, 'e', ARGV[3], 'r', run, 'p', table.concat(epochs, ','))
  return ARGV[3], top, ends
end
local function add(meta, stream, top, count, texts, size, ttl, ends)
  local new, stored = top + count, nil
  local last = format('%d', new)
  local id = last .. '-0'
  if new % 32 < new - top and new > tonumber(size) then
    stored = call('XADD', stream, 'NOMKSTREAM', 'MINID', '~', format('%d', new - size + 1), id, 'd', texts)
  else
    stored = call('XADD', stream, 'NOMKSTREAM', id, 'd', texts)
  end
  if not stored then
    call('XADD', stream, id, 'd', texts)
    ends = 0
  end
  if not now then
    local time = call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  local left, life = ends - now, math.ceil(ttl * 1.125)
  if left >= tonumber(ttl) and left <= life then return call('HSET', meta, 'o', last) end
  call('HSET', meta, 'o', last, 't', now + life)
  call('PEXPIRE', stream, life)
  call('PEXPIRE', meta, math.max(86400000, 2 * life))
end`
}

/**
 * Changes who is in a room, and tells it as messages of the presence room: `join`, `update`, `leave`.
 *
 * Invariants:
 * 1. Members are users: the hash holds for each the nodes they are on and their data, as "node,node\ndata".
 *    `join` is stored when the first node is added and `leave` when the last one is removed, never else.
 * 2. Every change may be repeated: what is so already changes nothing and tells nothing.
 * 3. The set of a node names all rooms it has members in, so that any node can clean up after it.
 *
 * KEYS: meta, stream, members, rooms of the node. ARGV: as above up to epoch, then size, ttl, node, room,
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

/** KEYS: secret. ARGV: one to agree on, if there is none. */
export const SECRET_SCRIPT: RedisScript = redisScript(`redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])`)

/** KEYS: rooms of a node. */
export const NODE_ROOMS_SCRIPT: RedisScript = redisScript(`return redis.call('SMEMBERS', KEYS[1])`)

/**
 * Reads a room's position and what follows an offset, in one step, and opens the room's first epoch when it
 * has none, so that a reader of an empty room holds a position it can come back to.
 *
 * KEYS: meta, stream. ARGV: offset or '' for none, ttl, epoch to open, run id. Returns epoch, top, earlier epochs, and the
 * entries that hold what follows the offset: the offset of the first one's last message, and their texts.
 */
export const READ_SCRIPT: RedisScript = redisScript(`local meta, stream = KEYS[1], KEYS[2]
local m = redis.call('HMGET', meta, 'e', 'o', 'p')
if not m[1] then
  redis.call('DEL', stream)
  redis.call('HSET', meta, 'e', ARGV[3], 'o', 0, 'r', ARGV[4])
  m = { ARGV[3], '0', false }
end
redis.call('PEXPIRE', meta, math.max(86400000, 2 * tonumber(ARGV[2])))
local last, entries = 0, {}
if ARGV[1] ~= '' and tonumber(ARGV[1]) < tonumber(m[2]) then
  for _, entry in ipairs(redis.call('XRANGE', stream, (ARGV[1] + 1) .. '-0', '+')) do
    if last == 0 then last = tonumber(string.match(entry[1], '^%d+')) end
    entries[#entries + 1] = entry[2][2]
  end
end
return { m[1], tonumber(m[2]), m[3] or '', last, entries }`)
