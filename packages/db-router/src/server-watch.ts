import { delay } from '@cays/core/abort'
import { awake } from './awake.ts'
import { type Position, sameLog } from './lsn.ts'
import type { PrimaryLog } from './primary-log.ts'
import { Prober } from './prober.ts'
import type { Sample, Server } from './server.ts'
import type { Settings } from './settings.ts'

/** While a server is down or no primary is known, it is asked this often, in milliseconds. */
const URGENT = 100
/** Time between two looks at a replica that somebody waits for, in milliseconds. */
const CATCH_UP_STEP = 3
/** A new replica is asked so often in a row to find out how fresh it is. */
const INTRODUCTION = 20

/** Who hears what a watch sees. */
export interface WatchEvents {
  /** A probe was answered; it was sent at the moment `since` of the log. What this throws makes it a failed one. */
  answered(sample: Sample, since: number): void
  /** A probe failed. True when the next one should follow at once. */
  missed(error: unknown): boolean
  /** A replica somebody waits for has replayed up to there. */
  replayed(sample: Sample): void
  /** There is no primary, so every server is asked again soon. */
  leaderless(): boolean
  /** Statements wait for what a probe finds. */
  awaited(): boolean
}

/** Probes one server again and again, and more often while somebody waits for what it says. */
export class ServerWatch {
  readonly #server: Server
  readonly #health: Settings['health']
  readonly #log: PrimaryLog
  readonly #events: WatchEvents
  readonly #prober: Prober
  /** `performance.now()` of the next probe. */
  #due = 0
  /** Ends the pause between two probes; `undefined` while one is under way. */
  #resume: (() => void) | undefined
  /** Somebody asked for a probe while one was under way, which may have been sent too early to tell. */
  #again = false
  #looking: Promise<void> | undefined
  #closed = false

  constructor(server: Server, settings: Settings, log: PrimaryLog, events: WatchEvents) {
    this.#server = server
    this.#health = settings.health
    this.#log = log
    this.#events = events
    this.#prober = new Prober(server, settings)
  }

  /** Resolves when it is closed; calls `first` once the first probe is over, whatever came of it. */
  async run(first: () => void): Promise<void> {
    const { interval } = this.#health
    for (let round = 0; !this.#closed; round++) {
      const since = this.#log.clock
      this.#again = false
      let wait = interval * (0.9 + Math.random() * 0.2)
      try {
        this.#events.answered(await this.#prober.probe(), since)
        const { role, health, freshAsOf } = this.#server
        const unproven = role === 'replica' && freshAsOf < 0 && round < INTRODUCTION
        if (this.#events.leaderless() || health !== 'up' || unproven) wait = Math.min(wait, URGENT)
      } catch (error) {
        if (this.#closed) break
        wait = this.#events.missed(error) ? 0 : Math.min(wait, URGENT)
      }
      first()
      await this.#pause(wait)
    }
    first()
  }

  /** One probe more, for somebody who waits. */
  async ask(): Promise<Sample> {
    return await awake(this.#prober.probe())
  }

  /** The next probe starts now, or right after the one under way. */
  wake(): void {
    if (this.#resume) this.#resume()
    else this.#again = true
  }

  /** The same if the next probe is due and only waits for somebody. */
  nudge(now: number): void {
    if (now >= this.#due) this.#resume?.()
  }

  /** Resolves to true when the server has replayed up to `position`, to false when `milliseconds` are over. */
  async catchUp(position: Position, milliseconds: number): Promise<boolean> {
    const end = performance.now() + milliseconds
    while (!this.#server.reached(position)) {
      if (this.#closed || this.#server.health !== 'up' || performance.now() >= end) return false
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined
      })
      await this.#looking
    }
    return true
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#resume?.()
    await this.#prober.close()
  }

  async #look(): Promise<void> {
    const known = this.#server.sample?.position
    try {
      if (known === undefined) await delay(CATCH_UP_STEP)
      else {
        const sample = await awake(this.#prober.replay(known))
        const now = this.#server.sample?.position
        if (now && sameLog(now, known)) this.#events.replayed(sample)
        if (sample.position.lsn < (this.#log.head?.lsn ?? 0)) await delay(CATCH_UP_STEP)
      }
    } catch {
      this.wake()
      await delay(CATCH_UP_STEP)
    }
  }

  async #pause(milliseconds: number): Promise<void> {
    if (this.#closed) return
    const wait = this.#again ? 0 : milliseconds
    this.#due = performance.now() + wait
    await new Promise<void>((resolve) => {
      // Passive: only a statement, or one that waits for a primary, makes the next probe happen.
      const watched = this.#again || !this.#health.passive || this.#events.awaited()
      const timer = watched ? setTimeout(resolve, wait) : undefined
      timer?.unref()
      this.#resume = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#resume = undefined
    this.#due = Number.POSITIVE_INFINITY
  }
}
