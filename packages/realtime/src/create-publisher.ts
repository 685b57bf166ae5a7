import { Lifecycle } from '@cays/core/lifecycle'
import type { BrokerHealth } from './broker.ts'
import type { Contract, EventInput, EventName, RoomContract, RoomPattern } from './contract.ts'
import { RealtimeError } from './errors.ts'
import type { BaseOptions } from './options.ts'
import type { Position } from './protocol.ts'
import { PublishQueue } from './publish-queue.ts'
import { redisBroker } from './redis-broker.ts'
import { optionReader, resolveBase } from './resolve-options.ts'
import {
  type ParamsArgument,
  type PublishingRoom,
  type PublishOptions,
  RoomPublisher,
} from './room-publisher.ts'
import { RoomRegistry } from './room-registry.ts'

/** Where a publisher publishes to. */
export interface PublisherOptions<C extends Contract> extends BaseOptions<C> {
  /** Publishes of this process that may wait for Redis. @default 10_000 */
  readonly publishes?: number
}

/** One user, on all devices and nodes. */
export interface PublishingUser<C extends Contract> {
  /** Resolves when the message is stored, with its position. */
  publish<Name extends EventName<UserRoom<C>>>(
    event: Name,
    data: EventInput<UserRoom<C>, Name>,
    options?: PublishOptions,
  ): Promise<Position>
}

/** What a user's own room may say; anything, when the contract says nothing about it. */
export type UserRoom<C extends Contract> = C extends { readonly user: infer R extends RoomContract }
  ? R
  : RoomContract

/** Publishes from a process that holds no sockets: a worker, a cron job, a script. */
export interface Publisher<C extends Contract> extends AsyncDisposable {
  /** A room to publish to. Throws when the contract has no such pattern or a parameter is missing. */
  room<Pattern extends RoomPattern<C>>(
    pattern: Pattern,
    ...params: ParamsArgument<Pattern>
  ): PublishingRoom<C['rooms'][Pattern]>
  /** All devices of one user. */
  user(id: string): PublishingUser<C>
  /** Whether Redis can be reached; answers from memory, without asking it. */
  health(): BrokerHealth
  /** Waits for publishes under way, then closes its Redis connection; yours stays open. */
  close(): Promise<void>
}

/**
 * Creates a {@link Publisher}. Without `redis` and `memory` it publishes into a memory of its own, which nobody reads.
 */
export function createPublisher<C extends Contract = Contract>(options: PublisherOptions<C>): Publisher<C> {
  const reader = optionReader('createPublisher')
  const base = resolveBase(options, reader, ['publishes'])
  const capacity = reader.integer('publishes', options.publishes, 10_000, { min: 1 })
  const registry = new RoomRegistry(options.contract, base, reader)
  const { redis } = options
  const { prefix, timeout, idempotencyWindow: window } = base
  const broker = redis
    ? redisBroker({ redis, prefix, timeout, window, heartbeat: 5_000 })
    : base.memory.join(window)
  const queue = new PublishQueue(broker, { capacity })
  const publisher = new RoomPublisher(broker, queue, base.name)
  const life = new Lifecycle({
    closed: () => new RealtimeError('REALTIME_ERR_CLOSED', 'the publisher was closed; create a new one'),
  })
  life.onClose(() => broker.close())
  return {
    room: (pattern, ...[params]) => guarded(publisher.bind(registry.address(pattern, params)), life),
    user: (id) => guarded(publisher.bind(registry.user(id)), life),
    health: () => broker.health(),
    close: () => life.close(),
    [Symbol.asyncDispose]: () => life.close(),
  }
}

/** A room that refuses work after close, and that close waits for. */
export function guarded<Events>(room: PublishingRoom<never>, life: Lifecycle): PublishingRoom<Events> {
  const { publish, position } = room
  return {
    publish: (event, data, options) => life.run(() => publish(event as never, data as never, options)),
    position: () => life.run(() => position()),
  }
}
