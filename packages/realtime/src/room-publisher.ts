import type { Broker } from './broker.ts'
import type { EventInput, EventName, RoomParams } from './contract.ts'
import { RealtimeError } from './errors.ts'
import type { Position } from './protocol.ts'
import type { PublishQueue } from './publish-queue.ts'
import { type EncodedEvent, encodeEvent, type RoomAddress } from './room-registry.ts'
import { PUBLISHES } from './telemetry.ts'

/** How one message is published. */
export interface PublishOptions {
  /**
   * Two publishes to one room with the same key are one, within `idempotencyWindow`. Without a key each
   * publish is its own, and still stored at most once however often Redis has to be asked.
   */
  readonly idempotencyKey?: string
  readonly signal?: AbortSignal
}

/** A room to publish to; holds no connection and may be thrown away. */
export interface PublishingRoom<Events> {
  /**
   * Resolves with the message's position once Redis has stored it; an ephemeral event's offset is 0.
   *
   * Publishes of one process to one room keep their order. After `REALTIME_ERR_UNAVAILABLE` the message may
   * or may not be stored; repeat with the same `idempotencyKey`. Aborting does not take back what was sent.
   */
  publish<Name extends EventName<Events>>(
    event: Name,
    data: EventInput<Events, Name>,
    options?: PublishOptions,
  ): Promise<Position>
  /** Where the room stands now: read it before the state you hand to a client, and hand both over. */
  position(): Promise<Position>
}

/** Parameters are left out for a pattern that has none. */
export type ParamsArgument<Pattern extends string> = string extends Pattern
  ? [params?: Readonly<Record<string, string | number>>]
  : keyof RoomParams<Pattern> extends never
    ? [params?: RoomParams<Pattern>]
    : [params: RoomParams<Pattern>]

const MAX_KEY = 256

export class RoomPublisher {
  readonly #broker: Broker
  readonly #queue: PublishQueue
  readonly #instance: string

  constructor(broker: Broker, queue: PublishQueue, instance: string) {
    this.#broker = broker
    this.#queue = queue
    this.#instance = instance
  }

  async publish(
    address: RoomAddress,
    event: string,
    data: unknown,
    options: PublishOptions = {},
  ): Promise<Position> {
    const { idempotencyKey, signal } = options
    if (idempotencyKey !== undefined && !isKey(idempotencyKey)) {
      throw new RealtimeError('REALTIME_ERR_TOO_LARGE', `an idempotencyKey has 1 to ${MAX_KEY} characters`)
    }
    const encoded = await encodeEvent(address.contract, event, data)
    signal?.throwIfAborted()
    const work = () => this.#store(address, encoded, options)
    if (!PUBLISHES.active) return await work()
    const attributes = { ephemeral: encoded.ephemeral }
    return await PUBLISHES.trace({ instance: this.#instance, attributes }, work)
  }

  async #store(address: RoomAddress, encoded: EncodedEvent, options: PublishOptions): Promise<Position> {
    const { idempotencyKey, signal } = options
    if (encoded.ephemeral) {
      await this.#broker.send(address.key, encoded.text)
      return { epoch: '', offset: 0 }
    }
    const { key: room, spec } = address
    return await this.#queue.publish({ room, spec, text: encoded.text, key: idempotencyKey }, signal)
  }

  async position(address: RoomAddress): Promise<Position> {
    const { epoch, top } = await this.#broker.read(address.key, address.spec, undefined)
    return { epoch, offset: top }
  }

  bind(address: RoomAddress): PublishingRoom<never> {
    return {
      publish: (event: string, data: unknown, options?: PublishOptions) =>
        this.publish(address, event, data, options),
      position: () => this.position(address),
    }
  }
}

function isKey(key: unknown): boolean {
  return typeof key === 'string' && key !== '' && key.length <= MAX_KEY
}
