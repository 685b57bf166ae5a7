import { randomBytes } from 'node:crypto'
import type {
  Append,
  Appended,
  Broker,
  BrokerEvents,
  BrokerHealth,
  EpochEnd,
  HistorySpec,
  Slice,
} from './broker.ts'
import { ClusterSubscriber } from './cluster-subscriber.ts'
import { newEpoch, newSecret } from './new-epoch.ts'
import { failureOf, type RedisClient } from './redis-client.ts'
import { RedisCommands, refused, unavailable } from './redis-commands.ts'
import { keySpace } from './redis-keys.ts'
import { RedisPresence } from './redis-presence.ts'
import { appendScript, READ_SCRIPT, SECRET_SCRIPT } from './redis-scripts.ts'
import { RedisSubscriber } from './redis-subscriber.ts'

export interface RedisBrokerOptions {
  readonly redis: RedisClient
  readonly prefix: string
  /** Milliseconds an append or a read may take, retries included. */
  readonly timeout: number
  /** Milliseconds between two checks of each connection. */
  readonly heartbeat: number
  /** Milliseconds an idempotency key is remembered. */
  readonly window: number
  /** Absent in a process that only publishes: then nothing is subscribed. */
  readonly events?: BrokerEvents
}

const EPHEMERAL = '-\n'

/** The rooms of all nodes that share a Redis and a prefix. */
export function redisBroker(options: RedisBrokerOptions): Broker {
  return new RedisBroker(options)
}

class RedisBroker implements Broker {
  readonly presence: RedisPresence
  readonly #space
  readonly #commands: RedisCommands
  readonly #subscriber: RedisSubscriber | ClusterSubscriber | undefined
  readonly #publishCommand: 'PUBLISH' | 'SPUBLISH'
  readonly #window: number
  // Together they name a call that no other process makes.
  readonly #origin = randomBytes(9).toString('base64url')
  #calls = 0

  constructor(options: RedisBrokerOptions) {
    const { redis, heartbeat, timeout, window, events } = options
    this.#window = window
    this.#space = keySpace(options.prefix)
    this.#publishCommand = redis.isCluster ? 'SPUBLISH' : 'PUBLISH'
    this.#commands = new RedisCommands({
      redis,
      timeout,
      heartbeat,
      ...(events && { reconnected: () => events.reconnected() }),
    })
    this.presence = new RedisPresence(this.#commands, this.#space, this.#publishCommand)
    if (events) {
      const subscriber = {
        client: redis,
        heartbeat,
        message: (channel: string, message: string) => this.#received(events, channel, message),
        resumed: (channels: readonly string[]) => {
          const rooms = channels.map((channel) => this.#space.roomOf(channel))
          events.resumed(rooms.filter((room) => room !== undefined))
        },
      }
      const { client } = this.#commands
      this.#subscriber = redis.isCluster
        ? new ClusterSubscriber({ ...subscriber, say: (channel, text) => client.spublish(channel, text) })
        : new RedisSubscriber(subscriber)
    }
  }

  // Those of one cluster slot and one history; few calls with much in them cost the least.
  lane({ room, spec }: Pick<Append, 'room' | 'spec'>): string {
    const history = `${spec.size} ${spec.ttl}`
    return this.#publishCommand === 'PUBLISH' ? history : `${history} ${this.#space.partition(room)}`
  }

  async append(appends: readonly Append[]): Promise<readonly Appended[]> {
    const [first] = appends
    if (!first) return []
    const lane = this.#space.keys(first.room)
    const call = lane.call(`${this.#origin}${(this.#calls++).toString(36)}`)
    const names = [call]
    const args: (string | number)[] = []
    for (const { room, texts, key } of appends) {
      const keys = this.#space.keys(room)
      names.push(keys.meta, keys.stream)
      if (key !== undefined) names.push(keys.idempotency(key))
      args.push(key === undefined ? texts.length : 0, texts.join('\n'))
    }
    const reply = await this.#commands.runGuarded(appendScript, lane, names, () => [
      this.#publishCommand,
      newEpoch(),
      first.spec.size,
      first.spec.ttl,
      this.#window,
      ...args,
    ])
    return String(reply).split('\n').map(appendedOf)
  }

  async send(room: string, text: string): Promise<void> {
    const { stream: channel } = this.#space.keys(room)
    const { client } = this.#commands
    const message = EPHEMERAL + text
    try {
      if (this.#publishCommand === 'PUBLISH') await client.publish(channel, message)
      else await client.spublish(channel, message)
    } catch (error) {
      if (failureOf(error) === 'refused') throw refused(error)
      throw unavailable(error)
    }
  }

  async subscribe(room: string): Promise<void> {
    await this.#subscriber?.subscribe(this.#space.keys(room).stream)
  }

  async unsubscribe(room: string): Promise<void> {
    await this.#subscriber?.unsubscribe(this.#space.keys(room).stream)
  }

  async read(room: string, spec: HistorySpec, after: number | undefined): Promise<Slice> {
    const { meta, stream } = this.#space.keys(room)
    const reply = await this.#commands.run(READ_SCRIPT, [meta, stream], () => [
      after ?? '',
      spec.ttl,
      newEpoch(),
      this.#commands.runId,
    ])
    return sliceOf(reply, after ?? 0)
  }

  async secret(): Promise<string> {
    return String(await this.#commands.run(SECRET_SCRIPT, [this.#space.secret], () => [newSecret()]))
  }

  health(): BrokerHealth {
    return {
      kind: 'redis',
      commands: this.#commands.up ? 'up' : 'down',
      subscriber: !this.#subscriber || this.#subscriber.up ? 'up' : 'down',
      epochGuard: this.#commands.epochGuard,
    }
  }

  async close(): Promise<void> {
    this.#subscriber?.close()
    this.#commands.close()
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
}

function appendedOf(line: string): Appended {
  if (line.startsWith('!')) return refused(new Error(line.slice(1)))
  const colon = line.lastIndexOf(':')
  return { epoch: line.slice(0, colon), offset: Number(line.slice(colon + 1)) }
}

function sliceOf(reply: unknown, after: number): Slice {
  const [epoch, top, previous, last, entries] = reply as readonly [string, number, string, number, string[]]
  const [oldest = [], ...others] = entries.map((entry) => entry.split('\n'))
  // The first entry may begin with messages of before.
  const known = Math.max(0, after - last + oldest.length)
  const texts = [...oldest.slice(known), ...others.flat()]
  return { epoch, top, previous: epochEndsOf(previous), first: last - oldest.length + 1 + known, texts }
}

function epochEndsOf(text: string): readonly EpochEnd[] {
  if (text === '') return []
  return text.split(',').map((end) => {
    const colon = end.lastIndexOf(':')
    return { epoch: end.slice(0, colon), top: Number(end.slice(colon + 1)) }
  })
}
