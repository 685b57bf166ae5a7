import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { delay } from '@cays/core/abort'
import { Events } from '@cays/core/events'
import { Lifecycle } from '@cays/core/lifecycle'
import type { Broker, BrokerEvents } from './broker.ts'
import { Connection } from './connection.ts'
import type { ConnectionHost } from './connection-host.ts'
import type { ConnectionSocket, ConnectionStream } from './connection-transport.ts'
import { Connections } from './connections.ts'
import type { Contract } from './contract.ts'
import { guarded } from './create-publisher.ts'
import { RealtimeError } from './errors.ts'
import { EventStreams } from './event-streams.ts'
import { Methods } from './methods.ts'
import { NodeMoves } from './node-moves.ts'
import { NodePresence } from './node-presence.ts'
import { NodeRooms } from './node-rooms.ts'
import type { Identity, RealtimeOptions } from './options.ts'
import { CLOSE, PRESENCE_PREFIX } from './protocol.ts'
import { PublishQueue } from './publish-queue.ts'
import type { Realtime, RealtimeEvents } from './realtime-types.ts'
import { redisBroker } from './redis-broker.ts'
import { optionReader, resolveServer } from './resolve-options.ts'
import { RoomPublisher } from './room-publisher.ts'
import { type RoomAddress, RoomRegistry } from './room-registry.ts'
import { CONNECTIONS } from './telemetry.ts'
import { attachUpgrade } from './upgrade.ts'

// Orders from node to node: a room with a history like any other, so that a node that was cut off from
// Redis carries them out late instead of never.
const CONTROL: RoomAddress = {
  key: '!control',
  pattern: '!',
  spec: { size: 1_000, ttl: 600_000 },
  contract: undefined,
}

// Each look at the connections takes one part of so many.
const SLICES = 40

/**
 * Creates a node of a realtime service: rooms whose clients get every message exactly once and in order,
 * through the death of their node, cut sockets and Redis restarts, or an explicit `gap` where history has
 * been trimmed or lost.
 *
 * Guarantees: messages of a room are delivered in one order on all nodes; a client that comes back within
 * the room's history continues where it stopped, on any node; a publish that resolved is in the history.
 * Not guaranteed: durability beyond what Redis itself keeps (a lost tail is announced, not restored);
 * ephemeral events; messages older than the history.
 *
 * @example
 * const realtime = createRealtime({
 *   redis,
 *   origins: ['https://app.example'],
 *   authenticate: async ({ token }) => sessions.find(token),
 *   authorize: { 'job:{id}': async (who, { id }) => mayRead(who, id) },
 * })
 * realtime.attach(server, { path: '/rt' })
 * await realtime.room('job:{id}', { id: 7 }).publish('updated', job)
 */
export function createRealtime<C extends Contract = Contract, Who extends Identity = Identity>(
  options: RealtimeOptions<C, Who>,
): Realtime<C, Who> {
  const reader = optionReader('createRealtime')
  const { base, limits, heartbeat, checkInterval, capacity, origins, rules, ...rest } = resolveServer(
    options,
    reader,
  )
  const { authenticate, compression, presenceTimes } = rest

  const node = randomBytes(6).toString('base64url')
  const events = new Events<RealtimeEvents>()
  const registry = new RoomRegistry(options.contract, base, reader, [...rules.keys()])
  const rooms = new NodeRooms({ instance: base.name, checkInterval, linger: 10_000, compression })
  const brokerEvents: BrokerEvents = {
    ...rooms.events,
    reconnected: () => void presence.assert().catch(() => {}),
  }
  const { redis } = options
  const broker: Broker = redis
    ? redisBroker({
        redis,
        prefix: base.prefix,
        timeout: base.timeout,
        window: base.idempotencyWindow,
        heartbeat: Math.min(5_000, checkInterval),
        events: brokerEvents,
      })
    : base.memory.join(base.idempotencyWindow, brokerEvents)
  rooms.use(broker)
  const presence = new NodePresence({
    node,
    store: broker.presence,
    instance: base.name,
    checkInterval,
    ...presenceTimes,
  })
  const publisher = new RoomPublisher(broker, new PublishQueue(broker, { capacity }), base.name)
  const methods = new Methods(options.contract)
  const connections = new Connections<Who>()
  const life = new Lifecycle({
    closed: () => new RealtimeError('REALTIME_ERR_CLOSED', 'the realtime node was closed; create a new one'),
  })
  const attached = new Set<Disposable>()
  const moves = new NodeMoves(connections, life)

  const host: ConnectionHost<Who> = {
    node,
    heartbeat,
    limits,
    presence,
    authenticate,
    admit(connection, userId) {
      if (connections.ofUser(userId).size >= limits.connectionsPerUser) return false
      connections.identify(connection, userId)
      events.emit('connected', { connection: connection.id, userId })
      return true
    },
    left(connection) {
      const userId = connection.who?.userId
      const known = userId !== undefined && connections.ofUser(userId).has(connection)
      connections.remove(connection)
      count()
      if (known) events.emit('disconnected', { connection: connection.id, userId })
    },
    match: (room) => registry.match(room),
    userRoom: (userId) => registry.user(userId),
    rule: (pattern) => rules.get(pattern) as never,
    hold: (address, wire) => rooms.hold(address.key, wire, address.spec),
    publish: (address, event, data, publishOptions) =>
      publisher.publish(address, event, data, publishOptions),
    call: (method, input, context) => methods.call(method, input, context as never),
    failed: (where, error) => events.emit('failed', { where, error }),
    tell: (error) => methods.tell(error, (where, thrown) => events.emit('failed', { where, error: thrown })),
  }

  function count(): void {
    if (!CONNECTIONS.active) return
    CONNECTIONS.publish({ instance: base.name, attributes: {}, value: connections.size })
  }

  function opened(socket: ConnectionSocket, stream: ConnectionStream, request: IncomingMessage): void {
    const connection = new Connection<Who>(host, socket, stream, request)
    connections.add(connection)
    count()
    if (life.state !== 'open') connection.close(CLOSE.restart)
    else if (moves.draining) connection.close(CLOSE.tryLater, '100')
    else if (connections.size > limits.connections || connections.handshakes > limits.handshakes) {
      connection.close(CLOSE.tryLater, String(1_000 + Math.round(Math.random() * 4_000)))
    } else if (connections.fromAddress(connection.address) > limits.connectionsPerAddress) {
      connection.close(CLOSE.limit, 'too many connections from this address')
    }
  }

  const control = rooms.hold(CONTROL.key, '!', CONTROL.spec, (text) => {
    const [event, order] = JSON.parse(`[${text}]`) as [string, { userId: string; reason: string }]
    if (event !== 'disconnect') return
    for (const connection of [...connections.ofUser(order.userId)]) {
      connection.close(CLOSE.kicked, order.reason)
    }
  })
  void control.room.start(false)

  const streams = new EventStreams({
    node,
    origins,
    payload: limits.payload,
    inbound: limits.inbound,
    secret: () => broker.secret(),
    opened: (stream, request) => opened(stream, stream, request),
    hold: (inbox, listener) => rooms.hold(inbox.key, '!', inbox.spec, listener),
    forward: (inbox, frame, key) => publisher.publish(inbox, 'frame', frame, { idempotencyKey: key }),
  })

  // Each connection is looked at a few times per heartbeat, some at a time, so that many do not beat at once.
  let looking = connections[Symbol.iterator]()
  const sweep = setInterval(
    () => {
      const now = Date.now()
      for (let left = Math.ceil(connections.size / SLICES); left > 0; left--) {
        const { value, done } = looking.next()
        if (!done) value.tend(now)
        else looking = connections[Symbol.iterator]()
      }
    },
    Math.max(10, Math.min(heartbeat, 4_000) / SLICES),
  )
  sweep.unref()

  life.onClose(() => broker.close())
  life.onClose(() => rooms.close())
  life.onClose(() => streams.close())
  life.onClose(() => presence.close())
  life.onClose(() => clearInterval(sweep))
  life.onClose(() => moves.close())
  life.onClose(async () => {
    for (const connection of connections) connection.close(CLOSE.restart)
    for (let waited = 0; connections.size > 0 && waited < 1_000; waited += 20) await delay(20)
    for (const connection of connections) connection.terminate()
  })
  life.onClose(() => {
    for (const upgrade of attached) upgrade[Symbol.dispose]()
  })

  return {
    attach(server, attachOptions = {}) {
      life.assertOpen()
      reader.known(attachOptions, ['path'], 'attach')
      const path = reader.string('attach.path', attachOptions.path, '/rt', /^\//)
      const upgrade = attachUpgrade(server, {
        path,
        origins,
        payload: limits.payload,
        compressed: compression !== undefined,
        opened,
      })
      attached.add(upgrade)
      return {
        [Symbol.dispose]() {
          attached.delete(upgrade)
          upgrade[Symbol.dispose]()
        },
      }
    },
    eventStream: (request, response) => streams.handle(request, response),
    room: (pattern, ...[params]) => guarded(publisher.bind(registry.address(pattern, params)), life),
    user: (id) => ({
      publish: guarded<never>(publisher.bind(registry.user(id)), life).publish,
      disconnect: ({ reason = 'disconnected', signal } = {}) =>
        life.run(async () => {
          const order = { userId: id, reason: reason.slice(0, 100) }
          await publisher.publish(CONTROL, 'disconnect', order, signal ? { signal } : {})
        }),
    }),
    presence: (pattern, ...[params]) =>
      life.run(async () => {
        const { key } = registry.address(pattern, params)
        const { members } = await presence.roster(PRESENCE_PREFIX + key)
        return members.map(([userId, data]) => ({ userId, data: JSON.parse(data) as never }))
      }),
    rpc: (method, handler) => methods.register(method, handler as never),
    on: (name, listener) => events.on(name, listener),
    health() {
      const health = broker.health()
      const up = health.commands === 'up' && health.subscriber === 'up'
      return {
        status: life.state !== 'open' ? 'closed' : moves.draining ? 'draining' : up ? 'ok' : 'degraded',
        node,
        connections: connections.size,
        rooms: rooms.size,
        broker: health,
      }
    },
    connections: () =>
      [...connections].flatMap((connection) => {
        const { id, who, address, rooms: names, waiting } = connection
        if (connection.phase !== 'ready' || !who) return []
        const disconnect = (reason = 'disconnected') => connection.close(CLOSE.kicked, reason.slice(0, 100))
        return [{ id, who, address, rooms: names, waiting, disconnect }]
      }),
    shed(share, shedOptions = {}) {
      life.assertOpen()
      reader.known(shedOptions, ['over'], 'shed')
      const chance = reader.number('shed.share', share, 0, { min: 0, max: 1 })
      const span = reader.duration('shed.over', shedOptions.over, 20_000)
      return moves.shed(chance, span)
    },
    async drain({ over, signal } = {}) {
      life.assertOpen()
      await moves.drain(reader.duration('drain.over', over, 20_000), signal)
    },
    close: () => life.close(),
    [Symbol.asyncDispose]: () => life.close(),
  }
}
