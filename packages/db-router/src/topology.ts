import { delay } from '@cays/core/abort'
import type { PoolReport } from './connection-pool.ts'
import { UnavailableError } from './errors.ts'
import type { Position } from './lsn.ts'
import type { Settings } from './options.ts'
import { PrimaryLog } from './primary-log.ts'
import { Prober } from './prober.ts'
import type { Sample } from './server.ts'
import { Server } from './server.ts'

interface Member {
  readonly server: Server
  readonly prober: Prober
  good: number
  bad: number
  wake: () => void
  catchingUp: Promise<void> | undefined
  replayed: number
  /** Why the last probe failed, until one succeeds. */
  error: unknown
}

interface Waiter {
  resolve(server: Server): void
  reject(error: Error): void
}

/** While a server is down or no primary is known, it is asked this often, in milliseconds. */
const URGENT = 100
/** Time between two looks at a replica that somebody waits for, in milliseconds. */
const CATCH_UP_STEP = 3

/**
 * Who is who: probes every server, elects the primary, holds statements while there is none.
 *
 * Invariants:
 * 1. A server is primary because it said so; of several the one on the highest timeline is.
 * 2. A timeline lower than the highest ever seen never gets a write again.
 * 3. What a probe saw counts only until the connection to that server breaks.
 */
export class Topology {
  readonly servers: readonly Server[]
  readonly log: PrimaryLog
  readonly #members: readonly Member[]
  readonly #settings: Settings
  readonly #changed: (server: Server) => void
  readonly #measured: (server: Server) => void
  readonly #closing = new AbortController()
  readonly #waiters = new Set<Waiter>()
  #primary: Server | undefined
  #timeline = 0
  #lostAt = performance.now()
  #expiry: NodeJS.Timeout | undefined
  #loops: Promise<unknown> = Promise.resolve()
  #firstRound: Promise<void> = Promise.resolve()

  /** `report` hears of connections, `changed` of every change of role or health, `measured` of every look at a replica. */
  constructor(
    settings: Settings,
    report: PoolReport,
    changed: (server: Server) => void,
    measured: (server: Server) => void,
  ) {
    this.#settings = settings
    this.#changed = changed
    this.#measured = measured
    const { timeout } = settings.health
    this.#members = settings.servers.map(({ url, weight }) => {
      const server = new Server(
        url,
        weight,
        settings.pool,
        settings.pipeline?.depth ?? 1,
        (event, client, error) => {
          // Somebody must know even if nobody uses the connection.
          if (event === 'error') this.suspect(server, false)
          report(event, client, error)
        },
      )
      const prober = new Prober(server, { pool: settings.pool, timeout })
      return {
        server,
        prober,
        good: 0,
        bad: 0,
        wake: () => {},
        catchingUp: undefined,
        replayed: 0,
        error: undefined,
      }
    })
    this.servers = this.#members.map((member) => member.server)
    this.log = new PrimaryLog(async () => {
      const member = this.#members.find(({ server }) => server === this.#primary)
      if (!member) throw new Error('no primary is known')
      return await member.prober.probe()
    })
  }

  get primary(): Server | undefined {
    return this.#primary
  }

  /** The highest timeline seen on any server. */
  get timeline(): number {
    return this.#timeline
  }

  get waiting(): number {
    return this.#waiters.size
  }

  start(): void {
    const rounds: Promise<void>[] = []
    const loops = this.#members.map((member) => {
      let first = () => {}
      rounds.push(
        new Promise<void>((resolve) => {
          first = resolve
        }),
      )
      return this.#watch(member, first)
    })
    this.#loops = Promise.all(loops)
    this.#firstRound = Promise.all(rounds).then(() => {})
  }

  /** Resolves when every server has been probed once, whatever came of it. */
  async ready(): Promise<void> {
    await this.#firstRound
  }

  /** Somebody has seen a higher timeline: all servers are asked again, for only they can say so. */
  heardOf(timeline: number): void {
    if (timeline > this.#timeline) this.#wakeAll()
  }

  /** The present primary, or the next one within what is left of the buffer window. Rejects with a typed error. */
  waitForPrimary(signal: AbortSignal | undefined): Server | Promise<Server> {
    if (this.#primary) return this.#primary
    const { window, size } = this.#settings.buffer
    const left = this.#lostAt + window - performance.now()
    if (left <= 0) return Promise.reject(this.#noPrimary())
    if (this.#waiters.size >= size) {
      return Promise.reject(
        new UnavailableError(
          'DB_ERR_BUFFER_FULL',
          `no primary is known and ${size} statements already wait for one; try again later`,
        ),
      )
    }
    return new Promise<Server>((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(waiter)
        signal?.removeEventListener('abort', abort)
      }
      const abort = () => {
        leave()
        reject(signal?.reason)
      }
      const waiter: Waiter = {
        resolve: (server) => {
          leave()
          resolve(server)
        },
        reject: (error) => {
          leave()
          reject(error)
        },
      }
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiters.add(waiter)
      this.#expiry ??= setTimeout(() => this.#expire(), left)
    })
  }

  /** Something on the query path says the server is in trouble: it is probed at once. `down` is certain. */
  suspect(server: Server, certainly: boolean): void {
    const member = this.#member(server)
    if (certainly && server.health !== 'down') {
      member.bad = this.#settings.health.fall
      member.good = 0
      this.#down(member, new Error('the server refuses connections'))
    }
    member.wake()
  }

  /** A server taken for the primary refused to write: it is not one, nor is any connection made before now. */
  demoted(server: Server): void {
    server.pool.evict()
    if (server.role === 'primary') {
      server.role = 'unknown'
      server.sample = undefined
    }
    this.#elect()
    this.#wakeAll()
  }

  /** Resolves to true when `server` has replayed up to `position`, to false when `milliseconds` are over. */
  async catchUp(server: Server, position: Position, milliseconds: number): Promise<boolean> {
    const member = this.#member(server)
    const end = performance.now() + milliseconds
    while (!server.reached(position)) {
      if (server.health !== 'up' || performance.now() >= end) return false
      member.catchingUp ??= this.#look(member).finally(() => {
        member.catchingUp = undefined
      })
      await member.catchingUp
    }
    return true
  }

  async close(): Promise<void> {
    this.#closing.abort()
    clearTimeout(this.#expiry)
    for (const waiter of this.#waiters) {
      waiter.reject(
        new UnavailableError('DB_ERR_CLOSED', 'the router was closed before the statement started'),
      )
    }
    await Promise.all(this.#members.map((member) => member.prober.close()))
    this.#wakeAll()
    await this.#loops
    await Promise.all(this.servers.map((server) => server.close()))
  }

  #member(server: Server): Member {
    return this.#members.find((member) => member.server === server) as Member
  }

  async #look(member: Member): Promise<void> {
    const timeline = member.server.sample?.position.timeline
    try {
      if (timeline === undefined) await delay(CATCH_UP_STEP)
      else {
        const sample = await member.prober.replay(timeline)
        if (member.server.sample?.position.timeline === timeline) this.#replayed(member, sample)
        if (sample.position.lsn < (this.log.head?.lsn ?? 0)) await delay(CATCH_UP_STEP)
      }
    } catch {
      member.wake()
      await delay(CATCH_UP_STEP)
    }
  }

  async #watch(member: Member, first: () => void): Promise<void> {
    const { interval, fall } = this.#settings.health
    for (let round = 0; !this.#closing.signal.aborted; round++) {
      const since = this.log.clock
      let wait = interval * (0.9 + Math.random() * 0.2)
      try {
        this.#answered(member, await member.prober.probe(), since)
        const unproven = member.server.role === 'replica' && member.server.freshAsOf < 0 && round < 20
        if (!this.#primary || member.server.health !== 'up' || unproven) wait = Math.min(wait, URGENT)
      } catch (error) {
        if (this.#closing.signal.aborted) break
        this.#missed(member, error)
        wait = member.bad < fall ? 0 : Math.min(wait, URGENT)
      }
      first()
      await this.#pause(member, wait)
    }
    first()
  }

  async #pause(member: Member, milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds)
      timer.unref()
      member.wake = () => {
        clearTimeout(timer)
        resolve()
      }
      if (this.#closing.signal.aborted) member.wake()
    })
    member.wake = () => {}
  }

  #wakeAll(): void {
    for (const member of this.#members) member.wake()
  }

  #answered(member: Member, sample: Sample, since: number): void {
    const { server } = member
    const before = `${server.role}/${server.health}`
    member.bad = 0
    member.good++
    member.error = undefined
    server.role = sample.role
    if (sample.position.timeline > this.#timeline) {
      this.#timeline = sample.position.timeline
      this.log.forget()
    }
    const risen = sample.role === 'primary' || server.health === 'unknown'
    if (risen || member.good >= this.#settings.health.rise) server.health = 'up'
    if (sample.role === 'replica') this.#replayed(member, sample)
    else server.sample = sample
    this.#elect()
    if (server === this.#primary) this.log.saw(sample, since)
    if (before !== `${server.role}/${server.health}`) this.#changed(server)
  }

  #replayed(member: Member, sample: Sample): void {
    const { server } = member
    const known = server.sample
    if (
      known &&
      known.role === 'replica' &&
      known.sentAt > sample.sentAt &&
      known.position.timeline >= sample.position.timeline
    ) {
      return
    }
    server.sample = sample
    const fresh = this.log.freshAsOf(sample.position)
    // After a crash a replica can come back with less replayed than it had.
    server.freshAsOf = sample.position.lsn < member.replayed ? fresh : Math.max(server.freshAsOf, fresh)
    member.replayed = sample.position.lsn
    this.#measured(server)
  }

  #missed(member: Member, error: unknown): void {
    member.good = 0
    member.bad++
    member.error = error
    // Over the next connection there may be another server, or the same with less replayed.
    if (member.server.role !== 'primary') member.server.sample = undefined
    if (member.bad >= this.#settings.health.fall || member.server.health === 'unknown') {
      this.#down(member, error)
    }
  }

  #down(member: Member, error: unknown): void {
    const { server } = member
    if (server.health === 'down') return
    server.health = 'down'
    server.sample = undefined
    server.freshAsOf = Number.NEGATIVE_INFINITY
    server.pool.evict()
    this.#elect()
    const reason = error instanceof Error ? error : new Error('the server is down')
    server.abandon(reason, false)
    // A write may still be answered, but not for ever.
    setTimeout(() => {
      if (server.health === 'down') server.abandon(reason, true)
    }, this.#settings.buffer.window).unref()
    this.#changed(server)
  }

  #elect(): void {
    let best: Server | undefined
    for (const server of this.servers) {
      const { sample } = server
      if (server.health !== 'up' || server.role !== 'primary' || !sample) continue
      if (sample.position.timeline < this.#timeline) continue
      if (!best || sample.position.timeline > (best.sample?.position.timeline ?? 0)) best = server
      else if (server === this.#primary && sample.position.timeline === best.sample?.position.timeline)
        best = server
    }
    if (best === this.#primary) return
    const before = this.#primary
    this.#primary = best
    if (best) {
      // Whatever else was primary will not answer any more, or its answer no longer counts.
      for (const server of this.servers) {
        if (server === best || (server !== before && server.role !== 'primary')) continue
        server.pool.evict()
        server.abandon(new Error('another server became the primary'), true)
      }
    }
    if (best) {
      clearTimeout(this.#expiry)
      this.#expiry = undefined
      for (const waiter of [...this.#waiters]) waiter.resolve(best)
    } else {
      this.#lostAt = performance.now()
      this.#wakeAll()
    }
    if (best) this.#changed(best)
    else if (before) this.#changed(before)
  }

  #expire(): void {
    this.#expiry = undefined
    for (const waiter of [...this.#waiters]) waiter.reject(this.#noPrimary())
  }

  #noPrimary(): UnavailableError {
    return new UnavailableError(
      'DB_ERR_NO_PRIMARY',
      `no server has accepted writes for ${Math.round(performance.now() - this.#lostAt)} ms; try again when a primary is back`,
      { cause: this.#members.find((member) => member.error !== undefined)?.error },
    )
  }
}
