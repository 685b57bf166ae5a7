import { useEffect, useMemo, useSyncExternalStore } from 'react'
import type {
  ClientStatus,
  EventMeta,
  PresenceHandle,
  PresenceMember,
  RealtimeClient,
  RoomHandle,
  RoomHandleOptions,
  RoomStatus,
} from './client.ts'
import type {
  Contract,
  EventName,
  EventOutput,
  PresenceInput,
  PresenceOutput,
  RoomParams,
  RoomPattern,
} from './contract.ts'

/** How a component follows a room. */
export interface UseRoomOptions<Room, State> {
  /** The state until something is known. */
  readonly initial: State
  /** Loads the state, after joining and after each gap; see `getState` of `client.room`. */
  readonly getState?: RoomHandleOptions<State>['getState']
  /** How each message changes the state; must not change the old one. The names count at the first render. */
  readonly on?: {
    readonly [Name in EventName<Room>]?: (
      state: State,
      data: EventOutput<Room, Name>,
      meta: EventMeta,
    ) => State
  }
}

/** A room, as a component sees it. */
export interface UsedRoom<Room, State> extends Pick<RoomHandle<Room>, 'publish' | 'send'> {
  readonly state: State
  readonly status: RoomStatus
}

/** Who is in a room, as a component sees it. */
export interface UsedPresence<Room> {
  readonly members: readonly PresenceMember<PresenceOutput<Room>>[]
  readonly status: RoomStatus
}

/** The hooks of one client; see {@link realtimeHooks}. */
export interface RealtimeHooks<C extends Contract> {
  /** Whether the client is connected. Does not connect by itself. */
  useConnection(): ClientStatus
  /** Follows a room while the component is mounted. */
  useRoom<Pattern extends RoomPattern<C>, State>(
    pattern: Pattern,
    params: RoomParams<Pattern>,
    options: UseRoomOptions<C['rooms'][Pattern], State>,
  ): UsedRoom<C['rooms'][Pattern], State>
  /** Watches who is in a room while the component is mounted; with `data`, is there itself and shows it. */
  usePresence<Pattern extends RoomPattern<C>>(
    pattern: Pattern,
    params: RoomParams<Pattern>,
    data?: PresenceInput<C['rooms'][Pattern]>,
  ): UsedPresence<C['rooms'][Pattern]>
}

/**
 * Makes the React hooks of a client, with the types of its contract. Nothing connects before a component that
 * uses a room is mounted, and nothing at all while a server renders.
 *
 * @example
 * export const { useRoom, usePresence, useConnection } = realtimeHooks(createClient<typeof contract>({ url: '/rt' }))
 */
export function realtimeHooks<C extends Contract>(client: RealtimeClient<C>): RealtimeHooks<C> {
  // Inside, rooms are names: the types of the contract are the callers'.
  const loose = client as unknown as RealtimeClient<Contract>

  function useConnection(): ClientStatus {
    return useSyncExternalStore(
      (changed) => client.onStatus(changed),
      () => client.status,
      () => 'idle',
    )
  }

  function useRoom(pattern: string, params: Params, options: UseRoomOptions<never, unknown>) {
    const key = JSON.stringify(params)
    // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the parameters
    const store = useMemo(() => new RoomStore(loose, pattern, params, options), [pattern, key])
    useEffect(() => {
      store.options = options
    })
    const { state, status } = useSyncExternalStore(store.subscribe, store.snapshot, store.snapshot)
    return { state, status, publish: store.publish, send: store.send }
  }

  function usePresence(pattern: string, params: Params, data?: unknown) {
    const key = JSON.stringify(params)
    // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the parameters
    const store = useMemo(() => new PresenceStore(loose, pattern, params), [pattern, key])
    const used = useSyncExternalStore(store.subscribe, store.snapshot, store.snapshot)
    const shown = data === undefined ? undefined : JSON.stringify(data)
    useEffect(() => store.show(shown), [store, shown])
    return used
  }

  return { useConnection, useRoom, usePresence } as unknown as RealtimeHooks<C>
}

type Params = Readonly<Record<string, string | number>>

class RoomStore {
  options: UseRoomOptions<never, unknown>
  readonly #client: RealtimeClient<Contract>
  readonly #pattern: string
  readonly #params: Params
  #handle: RoomHandle<never> | undefined
  #current: { readonly state: unknown; readonly status: RoomStatus }

  constructor(
    client: RealtimeClient<Contract>,
    pattern: string,
    params: Params,
    options: UseRoomOptions<never, unknown>,
  ) {
    this.#client = client
    this.#pattern = pattern
    this.#params = params
    this.options = options
    this.#current = { state: options.initial, status: 'subscribing' }
  }

  readonly snapshot = () => this.#current

  readonly subscribe = (changed: () => void): (() => void) => {
    const { getState, on = {} } = this.options
    const handle = this.#client.room(
      this.#pattern,
      this.#params,
      getState ? { getState: (context) => (this.options.getState ?? getState)(context) } : {},
    ) as unknown as RoomHandle<never>
    this.#handle = handle
    const set = (next: Partial<typeof this.snapshot extends () => infer S ? S : never>) => {
      this.#current = { ...this.#current, ...next }
      changed()
    }
    handle.onState((state) => set({ state }))
    handle.onStatus((status) => set({ status }))
    for (const event of Object.keys(on)) {
      handle.on(event as never, (data: never, meta: EventMeta) => {
        const reducers = this.options.on as Readonly<Record<string, Reducer | undefined>>
        const reduce = reducers[event]
        if (reduce) set({ state: reduce(this.#current.state, data, meta) })
      })
    }
    if (handle.status !== this.#current.status) set({ status: handle.status })
    // The next component may want the same room: it takes it before it is left.
    return () => void setTimeout(() => handle.close())
  }

  readonly publish: RoomHandle<never>['publish'] = (...args) =>
    this.#handle ? this.#handle.publish(...args) : Promise.reject(new TypeError('not mounted yet'))

  readonly send: RoomHandle<never>['send'] = (...args) => this.#handle?.send(...args)
}

type Reducer = (state: unknown, data: unknown, meta: EventMeta) => unknown

class PresenceStore {
  readonly #client: RealtimeClient<Contract>
  readonly #pattern: string
  readonly #params: Params
  #handle: PresenceHandle<unknown> | undefined
  #shown: string | undefined
  #current: UsedPresence<unknown> = { members: [], status: 'subscribing' }

  constructor(client: RealtimeClient<Contract>, pattern: string, params: Params) {
    this.#client = client
    this.#pattern = pattern
    this.#params = params
  }

  readonly snapshot = () => this.#current

  readonly subscribe = (changed: () => void): (() => void) => {
    const handle = this.#client.presence(this.#pattern, this.#params) as PresenceHandle<unknown>
    this.#handle = handle
    this.#shown = undefined
    const update = () => {
      this.#current = { members: handle.members, status: handle.status }
      changed()
    }
    handle.onChange(update)
    handle.onStatus(update)
    return () => void setTimeout(() => handle.close())
  }

  /** Enters with JSON text, or leaves without. A refusal shows in the status. */
  show(text: string | undefined): void {
    if (!this.#handle || text === this.#shown) return
    this.#shown = text
    const told = text === undefined ? this.#handle.leave() : this.#handle.enter(JSON.parse(text))
    told.catch(() => {})
  }
}
