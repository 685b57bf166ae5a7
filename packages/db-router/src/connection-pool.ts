import pg, { type PoolClient, type PoolConfig } from 'pg'
import { answerPassword, type Connection, cut, onStandby, pipelining, refer } from './connection.ts'
import type { PasswordFor } from './options.ts'
import { WaitingLine } from './waiting-line.ts'

/** Who waits for a connection; one of the two is called, once, perhaps before `acquire` returns. */
export interface Waiter {
  connected(connection: Connection): void
  refused(error: unknown): void
}

/** What happens to connections, under the names of `pg.Pool`'s events. */
export type PoolReport = (
  event: 'connect' | 'acquire' | 'release' | 'remove' | 'error',
  client: pg.Client,
  error?: unknown,
) => void

/** What a pool tells of its connections. */
export interface PoolEvents {
  readonly report: PoolReport
  /** The server says that it is a standby, or that it is none, over a connection that has just begun or been used. */
  readonly standby: (standby: boolean) => void
}

/** Every connection is in use and none became free in time. */
export class PoolTimeout extends Error {}
/** The pool was closed. */
export class PoolEnded extends Error {}

/** How long a connection may take to say goodbye before it is cut, in milliseconds. */
const GOODBYE = 2_000

/** Statements prepared on one connection, beyond which it is replaced: the server keeps them all in memory. */
const MOST_PREPARED = 500

/**
 * The connections to one server, with the options and events of `pg.Pool` and its order: the connection used
 * last is used next, whoever waits longest is served first.
 *
 * It is written for its hot path: taking and giving back a connection costs no promise, no timer and no
 * listener. Both time limits are watched by one timer each, and only while somebody waits or idles.
 */
export class ConnectionPool {
  readonly max: number
  readonly #config: PoolConfig
  readonly #password: PasswordFor | undefined
  readonly #report: PoolReport
  readonly #standby: PoolEvents['standby']
  readonly #all = new Set<Connection>()
  readonly #idle: Connection[] = []
  readonly #waiting = new WaitingLine<Waiter>()
  /** Connections that several statements share, and who waits to join them. */
  readonly #sharing: Connection[] = []
  readonly #joining = new WaitingLine<Waiter>()
  readonly #depth: number
  #opening = 0
  #generation = 0
  #idleTimer: NodeJS.Timeout | undefined
  #waitTimer: NodeJS.Timeout | undefined
  #ended: (() => void) | undefined
  #emptied: (() => void)[] = []

  /** `depth`: how many statements may share one connection. `password` is asked for each connection. */
  constructor(config: PoolConfig, depth: number, password: PasswordFor | undefined, events: PoolEvents) {
    this.#config = config
    this.#depth = depth
    this.#password = password
    this.#report = events.report
    this.#standby = events.standby
    this.max = config.max || 10
  }

  get total(): number {
    return this.#all.size + this.#opening
  }

  get idle(): number {
    return this.#idle.length
  }

  get waiting(): number {
    return this.#waiting.size + this.#joining.size
  }

  /** Gives `waiter` a connection, now or when one is free. `now` is `performance.now()`. */
  acquire(waiter: Waiter, now: number): void {
    if (this.#ended) {
      waiter.refused(new PoolEnded('the pool was closed'))
      return
    }
    const connection = this.#takeIdle()
    if (connection) {
      this.#hand(connection, waiter)
      return
    }
    this.#waiting.add(waiter, now)
    this.#limitWaiting(this.#config.connectionTimeoutMillis)
    this.#pump()
    if (this.#opening === 0) this.#reserve()
  }

  /**
   * Gives `waiter` a place on a connection that sends statements without waiting for the answers to those before:
   * an idle one, else the one with the fewest under way. Give it back with {@link unshare}.
   */
  share(waiter: Waiter, now: number): void {
    if (this.#ended) {
      waiter.refused(new PoolEnded('the pool was closed'))
      return
    }
    const idle = this.#takeIdle()
    if (idle) {
      this.#join(idle, waiter)
      return
    }
    const least = this.#leastShared()
    if (this.total < this.max && this.#opening === 0) this.#open()
    if (least && least.shared < this.#depth) {
      this.#join(least, waiter)
      return
    }
    this.#joining.add(waiter, now)
    this.#limitWaiting(this.#config.connectionTimeoutMillis)
    this.#pump()
  }

  /** A statement that shared the connection is over; with `destroy` the connection is closed once the others are. */
  unshare(connection: Connection, destroy: boolean, now: number): void {
    connection.shared--
    connection.answeredAt = now
    connection.uses++
    this.#report('release', connection.client, destroy)
    if (destroy || !this.#usable(connection)) connection.draining = true
    if (!connection.draining) {
      const waiter = this.#joining.take()
      if (waiter) {
        this.#join(connection, waiter)
        return
      }
    }
    if (connection.shared > 0) return
    this.#sharing.splice(this.#sharing.indexOf(connection), 1)
    pipelining(connection, false)
    connection.draining = false
    connection.idleSince = now
    if (destroy || this.#ended || !this.#usable(connection)) {
      this.#discard(connection)
      this.#pump()
    } else this.#serve(connection)
  }

  /** `waiter` no longer waits. */
  forget(waiter: Waiter): void {
    if (!this.#waiting.remove(waiter)) this.#joining.remove(waiter)
  }

  /** Takes a connection back; with `destroy` it is closed. */
  release(connection: Connection, destroy: boolean, now: number): void {
    connection.uses++
    this.#report('release', connection.client, destroy)
    if (destroy || this.#ended || !this.#usable(connection)) {
      this.#discard(connection)
      this.#pump()
      return
    }
    connection.idleSince = now
    this.#serve(connection)
  }

  /** True unless it broke or something is known to have changed since it was opened. */
  isCurrent(connection: Connection): boolean {
    return !connection.dead && connection.generation === this.#generation
  }

  /** Nothing connected before now is used again. */
  evict(): void {
    this.#generation++
    for (const connection of this.#idle.splice(0)) this.#discard(connection)
  }

  /** Closes what is idle, and the rest as it is given back; resolves when there is no connection for a moment. */
  empty(): Promise<void> {
    this.evict()
    if (this.total === 0) return Promise.resolve()
    return new Promise((resolve) => this.#emptied.push(resolve))
  }

  /** Refuses who waits and closes what is idle; resolves when every connection is closed. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      this.#ended = resolve
      clearTimeout(this.#idleTimer)
      clearTimeout(this.#waitTimer)
      for (let waiter = this.#longest(); waiter; waiter = this.#longest()) {
        waiter.refused(new PoolEnded('the pool was closed'))
      }
      for (const connection of this.#idle.splice(0)) this.#discard(connection)
      if (this.total === 0) resolve()
    })
  }

  /** Cuts every connection, in use or not. */
  destroy(): void {
    for (const { client } of this.#all) cut(client)
  }

  #usable(connection: Connection): boolean {
    const { maxUses, maxLifetimeSeconds } = this.#config
    if (!this.isCurrent(connection)) return false
    if (maxUses && connection.uses >= maxUses) return false
    if (connection.prepared.size > MOST_PREPARED) return false
    return !maxLifetimeSeconds || performance.now() - connection.connectedAt < maxLifetimeSeconds * 1_000
  }

  #hand(connection: Connection, waiter: Waiter): void {
    if (this.#config.allowExitOnIdle) refer(connection.client).ref()
    this.#report('acquire', connection.client)
    waiter.connected(connection)
  }

  #takeIdle(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop()
      if (!connection || this.#usable(connection)) return connection
      this.#discard(connection)
    }
  }

  #join(connection: Connection, waiter: Waiter): void {
    if (connection.shared++ === 0 && !this.#sharing.includes(connection)) {
      pipelining(connection, true)
      this.#sharing.push(connection)
    }
    this.#hand(connection, waiter)
  }

  #leastShared(): Connection | undefined {
    let least: Connection | undefined
    for (const connection of this.#sharing) {
      if (connection.draining || !this.isCurrent(connection)) continue
      if (!least || connection.shared < least.shared) least = connection
    }
    return least
  }

  /** Lets one shared connection run dry, for somebody who needs one alone. */
  #reserve(): void {
    const least = this.#leastShared()
    if (least) least.draining = true
  }

  /** To who waits longest, or to the others that are idle. */
  #serve(connection: Connection): void {
    const waiter = this.#waiting.take()
    if (waiter) {
      this.#hand(connection, waiter)
      return
    }
    const joining = this.#joining.take()
    if (joining) {
      this.#join(connection, joining)
      return
    }
    if (this.#emptied.length > 0) {
      this.#discard(connection)
      return
    }
    if (this.#config.allowExitOnIdle) refer(connection.client).unref()
    this.#idle.push(connection)
    this.#limitIdling(this.#config.idleTimeoutMillis ?? 10_000)
  }

  /** Opens as many connections as are waited for. */
  #pump(): void {
    while (this.waiting > this.#opening && this.total < this.max && !this.#ended) this.#open()
  }

  #open(): void {
    this.#opening++
    const Client = (this.#config.Client ?? pg.Client) as typeof pg.Client
    const client = new Client(this.#config)
    answerPassword(client, this.#password)
    const connection: Connection = {
      client,
      generation: this.#generation,
      connectedAt: 0,
      dead: false,
      uses: 0,
      idleSince: 0,
      shared: 0,
      draining: false,
      answeredAt: 0,
      prepared: new Set(),
    }
    // Without a listener an error of a connection, in use or not, would end the process.
    client.on('error', (error) => this.#broke(connection, error))
    client.on('end', () => {
      connection.dead = true
      this.#forget(connection)
    })
    onStandby(client, this.#standby)
    client.connect((error: unknown) => {
      if (error) this.#failed(client, error)
      else if (this.#config.onConnect || this.#config.verify) {
        this.#prepare(client).then(
          () => this.#opened(connection),
          (failure: unknown) => this.#failed(client, failure),
        )
      } else this.#opened(connection)
    })
  }

  #opened(connection: Connection): void {
    this.#opening--
    const now = performance.now()
    connection.connectedAt = now
    connection.idleSince = now
    this.#all.add(connection)
    this.#report('connect', connection.client)
    if (this.#ended || !this.#usable(connection)) {
      this.#discard(connection)
      this.#pump()
    } else {
      this.#serve(connection)
    }
  }

  #failed(client: pg.Client, error: unknown): void {
    this.#opening--
    cut(client)
    this.#longest()?.refused(error)
    this.#pump()
    this.#left()
  }

  #broke(connection: Connection, error: unknown): void {
    if (connection.dead) return
    connection.dead = true
    const at = this.#idle.indexOf(connection)
    if (at < 0) return
    this.#idle.splice(at, 1)
    this.#discard(connection)
    this.#report('error', connection.client, error)
  }

  async #prepare(client: pg.Client): Promise<void> {
    const { onConnect, verify } = this.#config
    await onConnect?.(client)
    if (verify) {
      await new Promise<void>((resolve, reject) => {
        verify(client as unknown as PoolClient, (error) => (error ? reject(error) : resolve()))
      })
    }
  }

  /** Closes a connection that nobody uses. */
  #discard(connection: Connection): void {
    const { client } = connection
    this.#forget(connection)
    connection.dead = true
    const timer = setTimeout(() => cut(client), GOODBYE)
    timer.unref()
    client.end(() => {
      clearTimeout(timer)
      this.#report('remove', client)
    })
  }

  #forget(connection: Connection): void {
    if (this.#all.delete(connection)) this.#left()
  }

  #left(): void {
    if (this.total > 0) return
    this.#ended?.()
    for (const emptied of this.#emptied.splice(0)) emptied()
  }

  #limitIdling(limit: number): void {
    if (!limit || this.#idleTimer) return
    const check = () => {
      this.#idleTimer = undefined
      const now = performance.now()
      const min = this.#config.min ?? 0
      // The one that has idled longest is at the bottom.
      while (this.#idle.length > 0 && this.#all.size > min) {
        const left = (this.#idle[0] as Connection).idleSince + limit - now
        if (left > 0) {
          this.#idleTimer = setTimeout(check, left)
          this.#idleTimer.unref()
          return
        }
        this.#discard(this.#idle.shift() as Connection)
      }
    }
    this.#idleTimer = setTimeout(check, limit)
    this.#idleTimer.unref()
  }

  /** Whoever waits longest, if since `moment`. */
  #longest(moment?: number): Waiter | undefined {
    return this.#waiting.take(moment) ?? this.#joining.take(moment)
  }

  #limitWaiting(limit: number | undefined): void {
    if (!limit || this.#waitTimer) return
    const check = () => {
      this.#waitTimer = undefined
      const now = performance.now()
      for (let late = this.#longest(now - limit); late; late = this.#longest(now - limit)) {
        late.refused(new PoolTimeout('timeout exceeded when trying to connect'))
      }
      const since = Math.min(this.#waiting.since ?? now, this.#joining.since ?? now)
      if (this.waiting === 0 || this.#waitTimer) return
      this.#waitTimer = setTimeout(check, since + limit - now)
      this.#waitTimer.unref()
    }
    this.#waitTimer = setTimeout(check, limit)
    this.#waitTimer.unref()
  }
}
