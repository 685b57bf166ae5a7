import type { RedisScript } from '@cays/core/redis-script'
import type { MemoryRedis, Reply } from './memory-redis.ts'
import {
  FILL,
  LOAD_ENDED,
  MARKERS,
  NODE,
  READ,
  READ_ONE,
  RELEASE,
  RENEW,
  SYNC,
  WRITE,
  WRITE_KEY,
} from './redis-scripts.ts'

type Run = (redis: MemoryRedis, keys: readonly string[], args: readonly string[]) => Reply

/** A script, and what it does. */
interface ScriptInMemory {
  readonly lua: string
  readonly sha: string
  readonly run: Run
}

interface Namespace {
  readonly epoch: string
  readonly run: string
  readonly seq: number
}

type Logged = readonly [seq: number, message: string]

function inMemory({ lua, sha }: RedisScript, run: Run): ScriptInMemory {
  return { lua, sha, run }
}

/** The header that scripts put before a value: version, soft expiry, run id. */
function stamped(redis: MemoryRedis, ttl: string | undefined, body: string | undefined): string {
  return `1${digits(Date.now() + Number(ttl))}${redis.run}${body}`
}

function digits(milliseconds: number): string {
  return milliseconds.toFixed(0).padStart(13, '0')
}

function ofEpoch(value: string): { readonly epoch: string | undefined; readonly seq: number } {
  const [, epoch, seq] = /^([^|]*)\|(\d+)\|/.exec(value.slice(24)) ?? []
  return { epoch, seq: Number(seq) }
}

function touch(redis: MemoryRedis, keys: readonly string[], [how, ttl, whole, body]: readonly string[]) {
  for (let i = 0; i < keys.length; i += 2) {
    const [value = '', lease = ''] = keys.slice(i)
    const before = redis.text(value)
    if (how === 'drop') redis.delete(value)
    else if (how === 'put') redis.set(value, stamped(redis, ttl, body), Number(whole))
    else if (before !== undefined) redis.set(value, before[0] + digits(Date.now()) + before.slice(14))
    redis.delete(lease)
  }
}

function begin(redis: MemoryRedis, [meta = '', feed = '']: readonly string[], salt: string | undefined) {
  const now = Date.now()
  const epoch = `${Math.floor(now / 1_000)}.${(now % 1_000) * 1_000}.${salt}`
  redis.mayWrite()
  redis.set(meta, { epoch, run: redis.run, seq: 0 } satisfies Namespace)
  redis.delete(feed)
  return { epoch, seq: 0 }
}

function current(redis: MemoryRedis, keys: readonly string[], salt: string | undefined) {
  const namespace = redis.get(keys[0]) as Namespace | undefined
  return namespace?.run === redis.run ? namespace : begin(redis, keys, salt)
}

const read: Run = (redis, [key = '', lease = ''], [epoch, token = '', time, atLeast, early]) => {
  const now = Date.now()
  let value = redis.text(key) ?? ''
  let fresh = false
  const header = ofEpoch(value)
  if (header.epoch !== epoch || value.slice(14, 24) !== redis.run || header.seq < Number(atLeast)) value = ''
  if (value !== '') {
    const left = Number(value.slice(1, 14)) - now
    fresh = left > 0
    if (left > Number(early)) return ['fresh', now, value]
  }
  if (token === '') return ['missing', now, value]
  const held = redis.text(lease)
  if (held?.slice(0, 10) === redis.run) {
    if (fresh) return ['fresh', now, value]
    if (held[10] === '!') return ['failed', now, value, held.slice(11), redis.left(lease)]
    if (held.slice(11) !== token) {
      if (!redis.full) redis.set(lease, `${redis.run}+${held.slice(11)}`)
      return ['held', now, value]
    }
  }
  redis.set(lease, `${redis.run}-${token}`, Number(time))
  return ['leased', now, value]
}

const readOne: Run = (redis, [key], [epoch]) => {
  const value = redis.text(key) ?? ''
  const counts = ofEpoch(value).epoch === epoch && value.slice(14, 24) === redis.run
  return [Date.now(), counts ? value : '']
}

/** The lease's mark, if it is still its holder's. */
function markOf(redis: MemoryRedis, lease: string, token: string | undefined): string | undefined {
  const held = redis.text(lease)
  const own = held?.slice(0, 10) === redis.run && held.slice(11) === token && held[10] !== '!'
  return own ? held[10] : undefined
}

function tell(redis: MemoryRedis, mark: string, channel = '', key = ''): void {
  if (mark === '+') redis.publish(channel, LOAD_ENDED + key)
}

const fill: Run = (redis, [key = '', lease = ''], [token, ttl, whole, body, channel, name]) => {
  const mark = markOf(redis, lease, token)
  if (!mark) return 0
  redis.set(key, stamped(redis, ttl, body), Number(whole))
  redis.delete(lease)
  tell(redis, mark, channel, name)
  return 1
}

const renew: Run = (redis, [lease = ''], [token, time]) => {
  if (!markOf(redis, lease, token)) return 0
  redis.mayWrite()
  redis.set(lease, redis.text(lease), Number(time))
  return 1
}

const release: Run = (redis, [lease = ''], [token, backoff, message, channel, name]) => {
  const mark = markOf(redis, lease, token)
  if (!mark) return 0
  if (Number(backoff) > 0) redis.set(lease, `${redis.run}!${message}`, Number(backoff))
  else redis.delete(lease)
  tell(redis, mark, channel, name)
  return 1
}

const writeKey: Run = (redis, keys, args) => {
  redis.mayWrite()
  touch(redis, keys, args)
  return 1
}

const write: Run = (redis, keys, args) => {
  const [channel = '', message = '', salt, log, count, markerTtl, beginning] = args.slice(4)
  const [meta = '', feed = ''] = keys
  const tags = keys.slice(2, 2 + Number(count))
  redis.mayWrite()
  touch(redis, keys.slice(2 + tags.length), args)
  const { epoch, seq: before } = beginning === '1' ? begin(redis, keys, salt) : current(redis, keys, salt)
  const seq = before + 1
  redis.set(meta, { epoch, run: redis.run, seq } satisfies Namespace)
  const logged = (redis.get(feed) ?? []) as readonly Logged[]
  redis.set(feed, [...logged, [seq, message]].slice(-Number(log)))
  for (const tag of tags) redis.set(tag, `${epoch}|${seq}`, Number(markerTtl))
  redis.publish(channel, `${epoch}|${seq}|${message}`)
  return [epoch, seq]
}

const sync: Run = (redis, keys, [knownEpoch, knownSeq, salt, most]) => {
  const { epoch, seq } = current(redis, keys, salt)
  const missing = seq - Number(knownSeq)
  if (epoch !== knownEpoch || missing < 0 || missing > Number(most)) return [epoch, seq, 0, 1]
  const logged = (redis.get(keys[1]) ?? []) as readonly Logged[]
  const messages = logged.filter(([at]) => at > Number(knownSeq)).map(([, message]) => message)
  return messages.length === missing ? [epoch, seq, 1, 1, ...messages] : [epoch, seq, 0, 1]
}

const markers: Run = (redis, keys, [salt, ttl]) => {
  const { epoch, seq } = current(redis, keys, salt)
  const last = keys.slice(2).map((key) => {
    const [, of, at] = /^([^|]*)\|(\d+)$/.exec(redis.text(key) ?? '') ?? []
    if (of === epoch) return Number(at)
    redis.set(key, `${epoch}|${seq}`, Number(ttl))
    return seq
  })
  return [epoch, ...last]
}

export const SCRIPTS_IN_MEMORY: readonly ScriptInMemory[] = [
  inMemory(READ, read),
  inMemory(READ_ONE, readOne),
  inMemory(NODE, (redis) => [Date.now(), redis.run]),
  inMemory(FILL, fill),
  inMemory(RENEW, renew),
  inMemory(RELEASE, release),
  inMemory(WRITE_KEY, writeKey),
  inMemory(WRITE, write),
  inMemory(SYNC, sync),
  inMemory(MARKERS, markers),
]
