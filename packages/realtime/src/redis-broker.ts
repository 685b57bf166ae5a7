import { delay } from '@cays/core/abort'
import type { RedisScript } from '@cays/core/redis-script'
import type { Append, Broker, BrokerEvents, BrokerHealth, EpochEnd, HistorySpec, Slice } from './broker.ts'
import { ClusterSubscriber } from './cluster-subscriber.ts'
import { RealtimeError } from './errors.ts'
import { newEpoch } from './new-epoch.ts'
import type { Position } from './protocol.ts'
import { failureOf, ownConnection, type RedisClient } from './redis-client.ts'
import { keySpace, type RoomKeys } from './redis-keys.ts'
import { appendScript, READ_SCRIPT } from './redis-scripts.ts'
import { RedisSubscriber } from './redis-subscriber.ts'

export interface RedisBrokerOptions {
  readonly redis: RedisClient
  readonly prefix: string
  /** Milliseconds an append or a read may take, retries included. */
  readonly timeout: number
  /** Milliseconds between two checks of each connection. */
  readonly heartbeat: number
  /** Absent in a process that only publishes: then nothing is subscribed. */
  readonly events?: BrokerEvents
}

const EPHEMERAL = '-\n'

/** The rooms of all nodes that share a Redis and a prefix. */
export function redisBroker(options: RedisBrokerOptions): Broker {
  return new RedisBroker(options)
}

class RedisBroker implements Broker {
  readonly #options: RedisBrokerOptions
  readonly #space
  readonly #commands: RedisClient
  readonly #subscriber: RedisSubscriber | ClusterSubscriber | undefined
  readonly #publishCommand: 'PUBLISH' | 'SPUBLISH'
  // The append script of the server behind each hash tag; one entry serves all tags without a cluster.
  readonly #scripts = new Map<string, RedisScript>()
  readonly #timer: NodeJS.Timeout
  #runId = ''
  #epochGuard = true
  #closed = false

  constructor(options: RedisBrokerOptions) {
    this.#options = options
    this.#space = keySpace(options.prefix)
    this.#publishCommand = options.redis.isCluster ? 'SPUBLISH' : 'PUBLISH'
    this.#commands = ownConnection(options.redis, 'commands')
    const { events } = options
    if (events) {
      const Subscriber = options.redis.isCluster ? ClusterSubscriber : RedisSubscriber
      this.#subscriber = new Subscriber({
        client: options.redis,
        heartbeat: options.heartbeat,
        message: (channel, message) => this.#received(events, channel, message),
        resumed: (channels) => {
          const rooms = channels.map((channel) => this.#space.roomOf(channel))
          events.resumed(rooms.filter((room) => room !== undefined))
        },
      })
    }
    this.#timer = setInterval(() => void this.#check(), options.heartbeat)
    this.#timer.unref()
  }

  async append(room: string, spec: HistorySpec, items: readonly Append[]): Promise<readonly Position[]> {
    const keys = this.#space.keys(room)
    const names = [keys.meta, keys.stream, ...items.map((item) => keys.idempotency(item.key))]
    const reply = await this.#retry(async () => {
      const { script, verify } = await this.#scriptFor(keys)
      const args = [verify ? '1' : '0', keys.channel, this.#publishCommand, spec.size, spec.ttl, newEpoch()]
      for (const item of items) args.push(item.text, item.window)
      if (!verify) return await this.#commands.evalsha(script.sha, names.length, ...names, ...args)
      const result = await this.#commands.eval(script.lua, names.length, ...names, ...args)
      this.#scripts.set(this.#scriptKey(keys), script)
      return result
    }, keys)
    return positionsOf(reply)
  }

  async send(room: string, text: string): Promise<void> {
    const { channel } = this.#space.keys(room)
    const message = EPHEMERAL + text
    try {
      if (this.#publishCommand === 'PUBLISH') await this.#commands.publish(channel, message)
      else await this.#commands.spublish(channel, message)
    } catch (error) {
      if (failureOf(error) === 'refused') throw refused(error)
      throw unavailable(error)
    }
  }

  async subscribe(room: string): Promise<void> {
    await this.#subscriber?.subscribe(this.#space.keys(room).channel)
  }

  async unsubscribe(room: string): Promise<void> {
    await this.#subscriber?.unsubscribe(this.#space.keys(room).channel)
  }

  async read(room: string, spec: HistorySpec, after: number | undefined): Promise<Slice> {
    const keys = this.#space.keys(room)
    const reply = await this.#retry(
      () =>
        READ_SCRIPT.run(
          this.#commands,
          [keys.meta, keys.stream],
          [after ?? '', Math.max(spec.size, 1_000), spec.ttl, newEpoch(), this.#runId],
        ),
      keys,
    )
    return sliceOf(reply)
  }

  health(): BrokerHealth {
    return {
      kind: 'redis',
      commands: this.#commands.status === 'ready' ? 'up' : 'down',
      subscriber: !this.#subscriber || this.#subscriber.up ? 'up' : 'down',
      epochGuard: this.#epochGuard,
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    this.#subscriber?.close()
    this.#commands.disconnect()
  }

  // A command is repeated with the same idempotency keys until its time is over, so that a lost answer
  // cannot double a message.
  async #retry<T>(command: () => Promise<T>, keys: RoomKeys): Promise<T> {
    const deadline = Date.now() + this.#options.timeout
    for (let attempt = 0; ; attempt++) {
      const left = deadline - Date.now()
      try {
        return await withTimeout(command(), Math.max(1, left))
      } catch (error) {
        const failure = failureOf(error)
        if (failure === 'refused') throw refused(error)
        if (failure === 'no-script') this.#scripts.delete(this.#scriptKey(keys))
        if (this.#closed || Date.now() >= deadline) throw unavailable(error)
        if (failure === 'unavailable')
          await delay(Math.min(250, 10 * 2 ** attempt) * (0.5 + Math.random() / 2))
      }
    }
  }

  #scriptKey(keys: RoomKeys): string {
    return this.#options.redis.isCluster ? keys.tag : ''
  }

  async #scriptFor(keys: RoomKeys): Promise<{ script: RedisScript; verify: boolean }> {
    const known = this.#scripts.get(this.#scriptKey(keys))
    if (known) return { script: known, verify: false }
    return { script: appendScript(await this.#learnRunId(keys)), verify: true }
  }

  // Asked through a script, so that a cluster answers from the server that holds the key.
  async #learnRunId(keys: RoomKeys): Promise<string> {
    try {
      const info = await this.#commands.eval("return redis.call('INFO', 'server')", 1, keys.meta)
      this.#runId = /run_id:([0-9a-f]+)/.exec(String(info))?.[1] ?? ''
    } catch (error) {
      if (failureOf(error) !== 'refused') throw error
      this.#runId = ''
    }
    this.#epochGuard = this.#runId !== ''
    return this.#runId
  }

  #received(events: BrokerEvents, channel: string, message: string): void {
    const room = this.#space.roomOf(channel)
    if (room === undefined) return
    if (message.startsWith(EPHEMERAL)) {
      events.ephemeral(room, message.slice(EPHEMERAL.length))
      return
    }
    const [head = '', ...texts] = message.split('\n')
    const space = head.indexOf(' ')
    const first = Number(head.slice(space + 1))
    if (space > 0 && Number.isSafeInteger(first)) events.batch(room, head.slice(0, space), first, texts)
  }

  // Finds a command connection that is silently dead.
  async #check(): Promise<void> {
    if (this.#commands.status !== 'ready' || this.#options.redis.isCluster) return
    try {
      await withTimeout(this.#commands.ping(), this.#options.heartbeat)
    } catch {
      if (!this.#closed) this.#commands.disconnect(true)
    }
  }
}

async function withTimeout<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer from Redis in time')), milliseconds)
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}

function positionsOf(reply: unknown): readonly Position[] {
  const [epoch, ...offsets] = reply as readonly [string, ...(number | string)[]]
  return offsets.map((offset) => {
    if (typeof offset === 'number') return { epoch, offset }
    const colon = offset.lastIndexOf(':')
    return { epoch: offset.slice(0, colon), offset: Number(offset.slice(colon + 1)) }
  })
}

function sliceOf(reply: unknown): Slice {
  const [epoch, top, previous, first, texts] = reply as readonly [string, number, string, number, string[]]
  return { epoch, top, previous: epochEndsOf(previous), first, texts }
}

function epochEndsOf(text: string): readonly EpochEnd[] {
  if (text === '') return []
  return text.split(',').map((end) => {
    const colon = end.lastIndexOf(':')
    return { epoch: end.slice(0, colon), top: Number(end.slice(colon + 1)) }
  })
}

function unavailable(cause: unknown): RealtimeError {
  return new RealtimeError(
    'REALTIME_ERR_UNAVAILABLE',
    'Redis did not answer in time; repeat the call with the same idempotencyKey',
    { cause },
  )
}

function refused(cause: unknown): RealtimeError {
  return new RealtimeError('REALTIME_ERR_REFUSED', 'Redis refused the command; see cause', { cause })
}
