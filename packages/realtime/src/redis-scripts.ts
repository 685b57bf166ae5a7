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

/**
 * What every script that writes into rooms begins with: the proof, `open`, which gives a room's epoch, top and
 * the end of its history's life, and `add`, which stores messages as one entry, trims the history now and then, and
 * prolongs the lives of the keys when an eighth of them is over. Lua's own way of writing a number takes longer than
 * `format`. ARGV[1..3] as documented at {@link appendScript}.
 */
export function opening(runId: string): string {
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

/** KEYS: secret. ARGV: one to agree on, if there is none. */
export const SECRET_SCRIPT: RedisScript = redisScript(`redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])`)

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
