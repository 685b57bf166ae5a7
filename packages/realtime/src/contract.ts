import type { Duration } from '@cays/core/duration'

/** The part of Standard Schema (standardschema.dev) used here; zod, valibot, arktype and others fit as they are. */
export interface Schema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    /** Answers the value as the schema reads it, or what is wrong with it. */
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** The value, or why it is none. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] }

export type InferInput<S> = S extends Schema<infer Input, infer _> ? Input : never
export type InferOutput<S> = S extends Schema<infer _, infer Output> ? Output : never

/** An event that is delivered at most once, to whoever is connected: no offset, no history. */
export interface EphemeralEvent<S extends Schema = Schema> {
  readonly ephemeral: S
}

/** An event with offset and history, or an ephemeral one. */
export type EventContract = Schema | EphemeralEvent

/** How far back a room can serve clients that come back. */
export interface HistoryOptions {
  /** How many messages a room keeps for clients that come back. @default 200 */
  readonly size?: number
  /** How long a room without new messages keeps them. @default '5m' */
  readonly ttl?: Duration
}

/** The events of one kind of room, each with its schema. */
export interface RoomContract {
  readonly events: Readonly<Record<string, EventContract>>
  readonly history?: HistoryOptions
  /** What those in the room show of themselves. */
  readonly presence?: Schema
}

/** What a method takes and answers. */
export interface MethodContract {
  readonly input: Schema
  readonly output?: Schema
}

/** What can be said in an app: its rooms by pattern (`'job:{id}'`), messages to a user, and methods. */
export interface Contract {
  readonly rooms: Readonly<Record<string, RoomContract>>
  /** Messages for one user on all devices. */
  readonly user?: RoomContract
  readonly rpc?: Readonly<Record<string, MethodContract>>
}

/** Declares a contract; an identity function that keeps the exact types. */
export function defineContract<const C extends Contract>(contract: C): C {
  return contract
}

/** Marks an event as ephemeral: a cursor, a typing indicator. */
export function ephemeral<S extends Schema>(schema: S): EphemeralEvent<S> {
  return { ephemeral: schema }
}

/** A schema with a type and no check at run time, for data that only your own server publishes. */
export function unchecked<T>(): Schema<T> {
  return {
    '~standard': { version: 1, vendor: 'cays', validate: (value) => ({ value: value as T }) },
  }
}

export function isEphemeral(event: EventContract): event is EphemeralEvent {
  return 'ephemeral' in event
}

export function schemaOf(event: EventContract): Schema {
  return isEphemeral(event) ? event.ephemeral : event
}

type SchemaOf<E> = E extends EphemeralEvent<infer S> ? S : E

export type RoomPattern<C extends Contract> = keyof C['rooms'] & string

/** The parameters in a pattern: `{ id }` for `'job:{id}'`. */
export type RoomParams<Pattern extends string> = string extends Pattern
  ? Readonly<Record<string, string | number>>
  : { readonly [Name in ParamNames<Pattern>]: string | number }

type ParamNames<Pattern extends string> = Pattern extends `${string}{${infer Name}}${infer Rest}`
  ? Name | ParamNames<Rest>
  : never

/** The same parameters as the server reads them out of a room's name. */
export type MatchedParams<Pattern extends string> = string extends Pattern
  ? Readonly<Record<string, string>>
  : { readonly [Name in ParamNames<Pattern>]: string }

export type EventName<R> = R extends RoomContract ? keyof R['events'] & string : never
export type EventInput<R, E> = R extends RoomContract
  ? E extends keyof R['events']
    ? InferInput<SchemaOf<R['events'][E]>>
    : never
  : never
export type EventOutput<R, E> = R extends RoomContract
  ? E extends keyof R['events']
    ? InferOutput<SchemaOf<R['events'][E]>>
    : never
  : never

/** What somebody in a room shows of themselves, before validation. */
export type PresenceInput<R> = R extends { readonly presence: infer S extends Schema }
  ? InferInput<S>
  : unknown
/** The same as others see it. */
export type PresenceOutput<R> = R extends { readonly presence: infer S extends Schema }
  ? InferOutput<S>
  : unknown

export type MethodName<C extends Contract> = keyof NonNullable<C['rpc']> & string
type Method<C extends Contract, M> = M extends keyof NonNullable<C['rpc']> ? NonNullable<C['rpc']>[M] : never
/** What a client passes to a method. */
export type MethodArgument<C extends Contract, M> =
  Method<C, M> extends { input: infer S } ? InferInput<S> : unknown
/** What the handler of a method receives, after validation. */
export type MethodInput<C extends Contract, M> =
  Method<C, M> extends { input: infer S } ? InferOutput<S> : unknown
/** What the handler of a method returns. */
export type MethodResult<C extends Contract, M> =
  Method<C, M> extends { output: infer S } ? InferInput<S> : unknown
/** What a client's call resolves to. */
export type MethodOutput<C extends Contract, M> =
  Method<C, M> extends { output: infer S } ? InferOutput<S> : unknown
