import { pickServer } from './balancer.ts'
import { UnavailableError } from './errors.ts'
import type { Position } from './lsn.ts'
import type { Consistency } from './options.ts'
import { PrimaryShare } from './primary-share.ts'
import type { Server } from './server.ts'
import type { Session } from './session.ts'
import type { Settings } from './settings.ts'
import type { Topology } from './topology.ts'

/** Where one try of a statement goes. */
export interface Place {
  readonly server: Server
  /** The position the server must prove before it may answer. */
  readonly verify: Position | undefined
  /** Why there, for traces: a bounded set. */
  readonly reason: PlaceReason
  /** To be called once the try is over. */
  readonly leave: (() => void) | undefined
  /** Nothing says that the server is at `verify`; it may well be. */
  readonly hoped?: boolean
}

export type PlaceReason =
  | 'write'
  | 'asked'
  | 'strong'
  | 'replica'
  | 'caught-up'
  | 'behind'
  | 'no-replica'
  | 'observed'
  | 'hedge'
  | 'bound'

export interface ReadDemand {
  readonly consistency: Consistency
  readonly maxStaleness: number
  readonly session: Session
  /** The caller named replicas. */
  readonly asked: boolean
  readonly signal: AbortSignal | undefined
  /** Servers that already failed this statement. */
  readonly avoid: ReadonlySet<Server> | undefined
  /** `performance.now()` until which it may wait for a replica; set by the first wait. */
  deadline: number | undefined
  /** Only servers that are known to be far enough will do. */
  readonly certain: boolean
  /** What its session has seen, once that is known: set here, for traces. */
  position: Position | undefined
}

/** What says which replicas will do. */
type Choice = Pick<ReadDemand, 'consistency' | 'maxStaleness' | 'session' | 'asked' | 'avoid'>

/** Decides where reads go. */
export class Placement {
  readonly #settings: Settings
  readonly #topology: Topology
  readonly share: PrimaryShare | undefined

  constructor(settings: Settings, topology: Topology) {
    this.#settings = settings
    this.#topology = topology
    const { fallback, pool } = settings
    this.share = fallback
      ? new PrimaryShare({
          ...fallback,
          slots: Math.max(1, Math.floor((pool.max ?? 10) * fallback.share)),
          usual: () => topology.primary?.latency ?? 0,
        })
      : undefined
  }

  /** Synchronous when nothing has to be asked or waited for, which is nearly always. */
  read(demand: ReadDemand, now: number): Place | Promise<Place> {
    if (this.#settings.health.passive) this.#topology.nudge(now)
    if (demand.consistency === 'strong' && !demand.asked) return this.#primary('strong', demand.signal)
    const candidates = this.#candidates(demand, now)
    if (candidates.length === 0) return this.#withoutReplica('no-replica', demand)
    if (demand.consistency !== 'session') return this.#replica(candidates, demand, undefined, 'replica')
    const floor = demand.session.floor()
    if (floor instanceof Promise) {
      return floor.then((position) =>
        position === 'unknown'
          ? this.#withoutReplica('behind', demand)
          : this.#caughtUp(candidates, position, demand),
      )
    }
    if (!floor) return this.#replica(candidates, demand, undefined, 'replica')
    return this.#caughtUp(candidates, floor, demand)
  }

  /** Another replica for a read under way, that can take it at once and show what the session has seen. */
  async another(demand: ReadDemand, now: number): Promise<Place | undefined> {
    const candidates = this.#candidates(demand, now).filter(({ inFlight, pool }) => inFlight < pool.max)
    if (candidates.length === 0) return undefined
    const place = (servers: readonly Server[], verify: Position | undefined): Place => {
      return { server: this.#pick(servers), verify, reason: 'hedge', leave: undefined }
    }
    if (demand.consistency !== 'session') return place(candidates, undefined)
    const position = await demand.session.floorElsewhere()
    if (position === undefined) return place(candidates, undefined)
    if (position === 'unknown') return undefined
    const proven = candidates.filter((server) => server.reached(position))
    if (proven.length > 0) return place(proven, position)
    const comparable = candidates.filter((server) => server.follows(position))
    return comparable.length > 0 ? place(comparable, position) : undefined
  }

  /** The replicas that could take such a read at once, going by what is known without asking anybody. */
  ready(demand: Choice, now: number): readonly Server[] {
    const candidates = this.#candidates(demand, now)
    const position = demand.consistency === 'session' ? demand.session.known : undefined
    if (position === undefined) return candidates
    if (position === 'unknown') return []
    if (!candidates.some(({ sample }) => sample?.lag !== undefined)) {
      return candidates.filter((server) => server.reached(position))
    }
    return demand.session.quietFor(this.#settings.maxStaleness) ? candidates : []
  }

  write(signal: AbortSignal | undefined, reason: PlaceReason = 'write'): Place | Promise<Place> {
    if (this.#settings.health.passive) this.#topology.nudge(performance.now())
    return this.#primary(reason, signal)
  }

  #primary(reason: PlaceReason, signal: AbortSignal | undefined): Place | Promise<Place> {
    const server = this.#topology.waitForPrimary(signal)
    if (!(server instanceof Promise)) return { server, verify: undefined, reason, leave: undefined }
    return server.then((found) => ({ server: found, verify: undefined, reason, leave: undefined }))
  }

  #candidates(demand: Choice, now: number): Server[] {
    // With the primary gone nothing new is written, so replicas do not get staler than they were.
    const enforced =
      demand.consistency === 'bounded' || (!demand.asked && this.#topology.primary !== undefined)
    const found: Server[] = []
    for (const server of this.#topology.servers) {
      if (server.role !== 'replica' || server.health !== 'up' || server.draining) continue
      if (demand.avoid?.has(server)) continue
      if (!enforced || now - server.freshAsOf <= demand.maxStaleness) found.push(server)
    }
    return found
  }

  #replica(
    candidates: readonly Server[],
    demand: ReadDemand,
    verify: Position | undefined,
    reason: PlaceReason,
  ): Place | Promise<Place> {
    const { session } = demand
    if (!session.monotonic) {
      return { server: this.#pick(candidates), verify, reason, leave: undefined }
    }
    const kept = session.replica
    if (kept && candidates.includes(kept)) return { server: kept, verify, reason, leave: undefined }
    if (kept && demand.consistency === 'session') {
      // Another replica may not have what this one has shown, so it must have all there is by now.
      session.replica = undefined
      session.saw()
      return this.read(demand, performance.now())
    }
    const server = this.#pick(candidates)
    session.replica = server
    return { server, verify, reason, leave: undefined }
  }

  #pick(candidates: readonly Server[]): Server {
    return pickServer(candidates, this.#settings.zone) as Server
  }

  #caughtUp(candidates: readonly Server[], position: Position, demand: ReadDemand): Place | Promise<Place> {
    demand.position = position
    // Where positions say nothing, time has to.
    if (candidates.some(({ sample }) => sample?.lag !== undefined)) {
      return demand.session.quietFor(this.#settings.maxStaleness)
        ? this.#replica(candidates, demand, undefined, 'replica')
        : this.#withoutReplica('behind', demand)
    }
    const usable = candidates.filter((server) => server.follows(position))
    const proven = usable.filter((server) => server.reached(position))
    if (proven.length > 0) return this.#replica(proven, demand, position, 'caught-up')
    const hopeful = demand.certain ? [] : this.#hopeful(usable, demand)
    if (hopeful.length === 0) return this.#wait(usable, position, demand)
    const place = this.#replica(hopeful, demand, position, 'caught-up')
    return place instanceof Promise ? place : { ...place, hoped: true }
  }

  /** Those that most likely are far enough by now: the read itself finds out, in the same round trip. */
  #hopeful(usable: readonly Server[], { session }: ReadDemand): readonly Server[] {
    const now = performance.now()
    const kept = session.replica
    const asked = kept && usable.includes(kept) ? [kept] : usable
    return asked.filter((server) => server.hopeful(now))
  }

  async #wait(usable: readonly Server[], position: Position, demand: ReadDemand): Promise<Place> {
    const now = performance.now()
    demand.deadline ??= now + this.#settings.wait.budget
    const budget = demand.deadline - now
    if (usable.length > 0 && budget > 0) {
      const waits = usable.map(async (server) => {
        if (!(await this.#topology.catchUp(server, position, budget))) throw new Error('not caught up')
        return server
      })
      try {
        return await this.#replica([await Promise.any(waits)], demand, position, 'caught-up')
      } catch {
        demand.signal?.throwIfAborted()
      }
    }
    if (this.#settings.wait.otherwise === 'error') {
      throw new UnavailableError(
        'DB_ERR_NOT_CAUGHT_UP',
        `no replica has replayed what this session has seen within ${this.#settings.wait.budget} ms; try again or allow the primary`,
      )
    }
    return await this.#withoutReplica('behind', demand)
  }

  /** The primary, within the share that such reads may use of it. */
  #withoutReplica(reason: PlaceReason, demand: ReadDemand): Place | Promise<Place> {
    const { share } = this
    if (this.#topology.servers.length <= 1) return this.#primary('no-replica', demand.signal)
    if (!share) {
      return Promise.reject(
        new UnavailableError(
          'DB_ERR_NO_REPLICA',
          'no replica can serve this read now and falling back to the primary is off; try again later',
        ),
      )
    }
    const entering = share.enter(demand.signal)
    return entering
      ? entering.then(() => this.#shared(share, reason, demand))
      : this.#shared(share, reason, demand)
  }

  #shared(share: PrimaryShare, reason: PlaceReason, demand: ReadDemand): Place | Promise<Place> {
    const place = this.#primary(reason, demand.signal)
    const leave = () => share.leave()
    if (!(place instanceof Promise)) return { ...place, leave }
    return place.then(
      (found) => ({ ...found, leave }),
      (error: unknown) => {
        leave()
        throw error
      },
    )
  }
}
