import { type Channel, channel, type TracingChannel, tracingChannel } from 'node:diagnostics_channel'

/** The value of one telemetry attribute. */
export type Attribute = string | number | boolean

/**
 * What a subscriber of `cays:<package>:<operation>` receives. The same object travels from start to end of
 * one operation; `result` and `error` are set by Node's tracing channel.
 *
 * `attributes` hold bounded sets only (an operation's name, a host, an outcome), under the names of the
 * OpenTelemetry conventions where one exists. Never a key, a user or SQL text.
 */
export interface Operation {
  /** The `name` the user gave the instance. */
  readonly instance: string
  readonly attributes: Record<string, Attribute>
  /** What this one was like, values without bounds: for spans and subscribers of your own, never labels of a metric. */
  readonly details?: Record<string, Attribute>
  /** How it ended, as the package's telemetry table lists it, e.g. `'hit'`. */
  outcome?: string
  error?: unknown
}

/**
 * What a subscriber of a point event receives: something that happened once, or a measured value. A frozen one
 * is published again as it is, so that what a subscriber makes of it can be kept.
 */
export interface Point {
  readonly instance: string
  readonly attributes: Record<string, Attribute>
  /** A gauge's present value; absent for a plain occurrence. */
  readonly value?: number
}

/** An operation lasts, an event happens, a gauge has a value. */
export type ChannelKind = 'operation' | 'event' | 'gauge'

/** What the OpenTelemetry conventions call an operation that they know, such as a call to a database. */
export interface Convention {
  /** Name of its histogram. */
  readonly duration: string
  /** Attribute that names its span, known from the start. */
  readonly span: string
}

/** What bridges and the telemetry page know of a channel. */
export interface ChannelDeclaration {
  /** `cays:<package>:<operation>` */
  readonly name: string
  readonly kind: ChannelKind
  /** One sentence for `docs/telemetry.md`. */
  readonly description: string
  readonly convention?: Convention | undefined
}

// diagnostics_channel cannot list its channels, and copies of a package (ESM and CJS) must not split the
// list: it hangs on the global object under a registered symbol, and newcomers are announced on a channel.
const REGISTRY = Symbol.for('cays.channels')
const ANNOUNCE: Channel = channel('cays:channels')

/** Every channel declared so far in this process, by any package and any copy of it. */
export function declaredChannels(): ReadonlyMap<string, ChannelDeclaration> {
  const holder = globalThis as { [REGISTRY]?: Map<string, ChannelDeclaration> }
  holder[REGISTRY] ??= new Map()
  return holder[REGISTRY]
}

/** Calls `listener` for each channel declared so far and for each one to come. */
export function onChannelDeclared(listener: (declaration: ChannelDeclaration) => void): Disposable {
  const announced = (message: unknown) => listener(message as ChannelDeclaration)
  for (const declaration of declaredChannels().values()) listener(declaration)
  ANNOUNCE.subscribe(announced)
  return { [Symbol.dispose]: () => void ANNOUNCE.unsubscribe(announced) }
}

function declare(declaration: ChannelDeclaration): void {
  const channels = declaredChannels() as Map<string, ChannelDeclaration>
  if (channels.has(declaration.name)) return
  channels.set(declaration.name, declaration)
  ANNOUNCE.publish(declaration)
}

/** Where a package publishes one of its operations. */
export interface OperationChannel {
  readonly name: string
  /** True when somebody listens. Ask it before building an {@link Operation}: silence must cost nothing. */
  readonly active: boolean
  /** Runs `work` and publishes its start and end. Call only when `active`. */
  trace<T>(operation: Operation, work: () => Promise<T>): Promise<T>
}

/** Declares an operation: something with a duration and an end. */
export function operationChannel(
  name: `cays:${string}:${string}`,
  description: string,
  convention?: Convention,
): OperationChannel {
  const tracing: TracingChannel<string, Operation> = tracingChannel(name)
  declare({ name, kind: 'operation', description, convention })
  return {
    name,
    get active() {
      return tracing.hasSubscribers
    },
    // Async, so that work which throws at once also ends as `asyncEnd`, the one end subscribers need to know.
    trace: (operation, work) => tracing.tracePromise(async () => await work(), operation),
  }
}

/** Where a package publishes an occurrence or a value. */
export interface PointChannel {
  readonly name: string
  /** True when somebody listens. Ask it before building a {@link Point}. */
  readonly active: boolean
  /** A subscriber that throws does not reach the caller: Node reports it as an uncaught exception. */
  publish(point: Point): void
}

/** Declares something that happens at a moment: an occurrence to count, or a value to show. */
export function pointChannel(
  name: `cays:${string}:${string}`,
  kind: Exclude<ChannelKind, 'operation'>,
  description: string,
): PointChannel {
  const point = channel(name)
  declare({ name, kind, description })
  return {
    name,
    get active() {
      return point.hasSubscribers
    },
    publish: (message) => point.publish(message),
  }
}
