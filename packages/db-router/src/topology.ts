import { raceAbort } from '@cays/core/abort'
import { awake } from './awake.ts'
import type { PoolReport } from './connection-pool.ts'
import type { Position } from './lsn.ts'
import { PrimaryLog } from './primary-log.ts'
import { RiseAndFall } from './rise-and-fall.ts'
import { type Sample, Server } from './server.ts'
import { ServerWatch } from './server-watch.ts'
import type { ServerSettings, Settings } from './settings.ts'
import { WriteBuffer } from './write-buffer.ts'

interface Member {
  readonly server: Server
  readonly watch: ServerWatch
  readonly standing: RiseAndFall
  replayed: number
  /** Why the last probe failed, until one succeeds. */
  error: unknown
  /** Discovery still names it. */
  listed: boolean
  removed: boolean
}

/** What the router hears of its servers. */
export interface TopologyEvents {
  /** What happens to connections. */
  readonly report: PoolReport
  /** A server changed its role or health, or became the primary. */
  readonly changed: (server: Server) => void
  /** A replica was looked at. */
  readonly measured: (server: Server) => void
}

/** Statements that fail on a replica one after the other before it is left. */
const FAILURES = 5
/** What a server that nobody lists any more may still take for its statements, in milliseconds. */
const FAREWELL = 60_000

/**
 * Who is who: probes every server, elects the primary, holds statements while there is none.
 *
 * Invariants:
 * 1. A server is primary because it said so; of several the one on the highest timeline is.
 * 2. A timeline lower than the highest ever seen never gets a write again.
 * 3. What a probe saw counts only until the connection to that server breaks.
 * 4. All servers belong to one database system. A stranger is not used, whatever it says.
 */
export class Topology {
  readonly log: PrimaryLog
  readonly #settings: Settings
  readonly #events: TopologyEvents
  readonly #closing = new AbortController()
  readonly #buffer: WriteBuffer
  readonly #loops = new Set<Promise<void>>()
  #members: readonly Member[] = []
  #servers: readonly Server[] = []
  #primary: Server | undefined
  #system: string | undefined
  /** The primary as configured has said so. */
  #declared = false
  #timeline = 0
  #missing: unknown
  #firstRound: Promise<unknown> = Promise.resolve()

  constructor(settings: Settings, events: TopologyEvents) {
    this.#settings = settings
    this.#events = events
    this.#buffer = new WriteBuffer(
      settings.buffer,
      () => this.#members.find((member) => member.error !== undefined)?.error ?? this.#missing,
    )
    this.log = new PrimaryLog(async () => {
      const member = this.#members.find(({ server }) => server === this.#primary)
      if (!member) throw new Error('no primary is known')
      return await member.watch.ask()
    })
  }

  get servers(): readonly Server[] {
    return this.#servers
  }

  get primary(): Server | undefined {
    return this.#primary
  }

  /** Statements waiting for a primary. */
  get waiting(): number {
    return this.#buffer.waiting
  }

  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  /** These are the servers from now on. One that is named no more finishes what it has, and the primary stays one. */
  use(servers: readonly ServerSettings[]): void {
    this.#missing = undefined
    for (const member of this.#members) {
      member.listed = servers.some(({ url }) => url === member.server.url)
    }
    const rounds: Promise<void>[] = []
    for (const server of servers) {
      if (this.#members.some((member) => member.server.url === server.url)) continue
      const member = this.#member(server)
      this.#members = [...this.#members, member]
      this.#servers = this.#members.map((each) => each.server)
      rounds.push(
        new Promise<void>((resolve) => {
          const loop = member.watch.run(resolve).finally(() => this.#loops.delete(loop))
          this.#loops.add(loop)
        }),
      )
    }
    this.#sweep()
    this.#firstRound = Promise.all([this.#firstRound, ...rounds])
  }

  /** Nobody says where the servers are. */
  notFound(error: unknown): void {
    this.#missing = error
  }

  /** Resolves when every server has been probed once, whatever came of it. */
  async ready(): Promise<void> {
    await awake(this.#firstRound)
  }

  /** A statement is about to run: probes that are due and wait for one start now. For `health: 'passive'`. */
  nudge(now: number): void {
    for (const { watch } of this.#members) watch.nudge(now)
  }

  /**
   * Somebody has seen this position. False when it is of another system, `undefined` while ours is not known. If its
   * timeline is news all servers are asked again, for only they can say so.
   */
  heardOf(position: Position): boolean | undefined {
    if (this.#system === undefined) return undefined
    if (position.system !== this.#system) return false
    if (position.timeline > this.#timeline) this.#wakeAll()
    return true
  }

  /** False when the log has moved on to another timeline, and with it the meaning of the position. */
  isCurrent(position: Position): boolean {
    return position.timeline >= this.#timeline && position.system === this.#system
  }

  /** The present primary, or the next one within what is left of the buffer window. Rejects with a typed error. */
  waitForPrimary(signal: AbortSignal | undefined): Server | Promise<Server> {
    if (this.#primary) return this.#primary
    if (this.#settings.health.passive) this.#wakeAll()
    return this.#buffer.wait(signal)
  }

  /** Something on the query path says the server is in trouble: it is probed at once. `down` is certain. */
  suspect(server: Server, certainly: boolean): void {
    const member = this.#memberOf(server)
    if (!member) return
    if (certainly && server.health !== 'down') {
      member.standing.fell()
      this.#down(member, new Error('the server refuses connections'))
    }
    member.watch.wake()
  }

  /**
   * A statement failed on a replica for a reason of the server's own. After several in a row it is left for a while,
   * longer each time, even if its probes are good; but not the last one that is up.
   */
  failed(server: Server): void {
    const member = this.#memberOf(server)
    const now = performance.now()
    if (!member || server.role !== 'replica' || !member.standing.failed(now)) return
    if (++server.failures < FAILURES) return
    const others = this.#servers.some(
      (other) => other !== server && other.role === 'replica' && other.health === 'up' && !other.draining,
    )
    if (!others || server.health !== 'up') return
    member.standing.hold(now)
    this.#down(member, new Error('statements keep failing on the server'))
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

  /** Nothing new goes to the server; resolves when its last connection has been given back. */
  async drain(server: Server, signal: AbortSignal | undefined): Promise<void> {
    server.draining = true
    this.#elect()
    await raceAbort(awake(server.pool.empty()), signal)
  }

  /** Ends what `drain` began. */
  restore(server: Server): void {
    server.draining = false
    this.#elect()
  }

  /** Resolves to true when `server` has replayed up to `position`, to false when `milliseconds` are over. */
  async catchUp(server: Server, position: Position, milliseconds: number): Promise<boolean> {
    const watch = this.#memberOf(server)?.watch
    return watch ? await watch.catchUp(position, milliseconds) : server.reached(position)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#buffer.close()
    await Promise.all(this.#members.map(({ watch }) => watch.close()))
    await Promise.all(this.#loops)
    await Promise.all(this.#servers.map((server) => server.close()))
  }

  #member(settings: ServerSettings): Member {
    const server = new Server(settings, this.#settings, {
      report: (event, client, error) => {
        // Somebody must know even if nobody uses the connection.
        if (event === 'error') this.suspect(server, false)
        this.#events.report(event, client, error)
      },
      standby: (standby) => {
        // What a pooler says may be old, and a probe tells the timeline as well.
        if (server.role === (standby ? 'primary' : 'replica')) this.suspect(server, false)
      },
    })
    const member: Member = {
      server,
      watch: new ServerWatch(server, this.#settings, this.log, {
        answered: (sample, since) => this.#answered(member, sample, since),
        missed: (error) => this.#missed(member, error),
        replayed: (sample) => this.#replayed(member, sample),
        leaderless: () => this.#primary === undefined,
        awaited: () => this.#buffer.waiting > 0,
      }),
      standing: new RiseAndFall(this.#settings.health),
      replayed: 0,
      error: undefined,
      listed: true,
      removed: false,
    }
    return member
  }

  #memberOf(server: Server): Member | undefined {
    return this.#members.find((member) => member.server === server)
  }

  /** Lets go of servers that nobody lists; the primary only once there is another. */
  #sweep(): void {
    for (const member of this.#members) {
      const { server, watch } = member
      if (member.listed || server === this.#primary) continue
      member.removed = true
      this.#members = this.#members.filter((each) => each !== member)
      this.#servers = this.#members.map((each) => each.server)
      const farewell = Promise.all([watch.close(), server.close(FAREWELL, this.#closing.signal)])
      const loop = farewell.then(() => {}).finally(() => this.#loops.delete(loop))
      this.#loops.add(loop)
    }
  }

  #wakeAll(): void {
    for (const { watch } of this.#members) watch.wake()
  }

  /** The primary as configured says which system is meant, and later the address of the elected one. */
  #belongs(server: Server, { role, position: { system } }: Sample): boolean {
    const declared = server === this.#servers[0] && !this.#declared
    if (declared) this.#declared = true
    const says = declared || (server === this.#primary && role === 'primary')
    if (this.#system === undefined || (says && system !== this.#system)) {
      this.#system = system
      this.#timeline = 0
      this.log.forget()
    }
    return system === this.#system
  }

  #answered(member: Member, sample: Sample, since: number): void {
    const { server } = member
    if (member.removed) return
    if (!this.#belongs(server, sample)) throw new Error('the server belongs to another database system')
    const before = `${server.role}/${server.health}`
    member.standing.answered()
    member.error = undefined
    server.role = sample.role
    if (sample.position.timeline > this.#timeline) {
      this.#timeline = sample.position.timeline
      this.log.forget()
    }
    if (server.health !== 'up' && this.#mayRise(member)) {
      if (server.health === 'down') server.warmUp(this.#settings.health.slowStart)
      server.health = 'up'
      server.failures = 0
    }
    if (sample.role === 'replica') this.#replayed(member, sample)
    else server.sample = sample
    this.#elect()
    if (server === this.#primary) this.log.saw(sample, since)
    if (before !== `${server.role}/${server.health}`) this.#events.changed(server)
  }

  #mayRise({ server, standing }: Member): boolean {
    return server.role === 'primary' || server.health === 'unknown' || standing.mayRise(performance.now())
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
    const { lag, sentAt, position } = sample
    const fresh = lag === undefined ? this.log.freshAsOf(position) : sentAt - lag
    // After a crash a replica can come back with less replayed than it had.
    server.freshAsOf = sample.position.lsn < member.replayed ? fresh : Math.max(server.freshAsOf, fresh)
    member.replayed = sample.position.lsn
    this.#events.measured(server)
  }

  #missed(member: Member, error: unknown): boolean {
    const { standing } = member
    standing.missed()
    member.error = error
    // Over the next connection there may be another server, or the same with less replayed.
    if (member.server.role !== 'primary') member.server.sample = undefined
    if (standing.fallen || member.server.health === 'unknown') this.#down(member, error)
    return !standing.fallen
  }

  #down({ server }: Member, error: unknown): void {
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
    this.#events.changed(server)
  }

  #elect(): void {
    let best: Server | undefined
    for (const server of this.#servers) {
      const { sample } = server
      if (server.health !== 'up' || server.role !== 'primary' || server.draining || !sample) continue
      if (!this.isCurrent(sample.position)) continue
      if (!best || sample.position.timeline > (best.sample?.position.timeline ?? 0)) best = server
      else if (server === this.#primary && sample.position.timeline === best.sample?.position.timeline)
        best = server
    }
    if (best === this.#primary) return
    const before = this.#primary
    this.#primary = best
    if (best) {
      // Whatever else was primary will not answer any more, or its answer no longer counts.
      for (const server of this.#servers) {
        if (server === best || server.draining || (server !== before && server.role !== 'primary')) continue
        server.pool.evict()
        server.abandon(new Error('another server became the primary'), true)
      }
      this.#buffer.found(best)
      this.#sweep()
    } else {
      this.#buffer.lost()
      this.#wakeAll()
    }
    if (best) this.#events.changed(best)
    else if (before) this.#events.changed(before)
  }
}
