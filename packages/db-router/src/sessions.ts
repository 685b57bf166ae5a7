import { AsyncLocalStorage } from 'node:async_hooks'
import { decodeBookmark, encodeBookmark } from './bookmark.ts'
import { UsageError } from './errors.ts'
import { Session } from './session.ts'
import { optionReader, type Settings } from './settings.ts'
import type { Topology } from './topology.ts'

/** Where a session starts. */
export interface SessionOptions {
  /**
   * The bookmark of an earlier session, from this process or another, or several of them. An invalid or old one is
   * ignored. `'latest'` stands for all that was acknowledged before the session began, whoever wrote it: that costs a
   * question to the primary, shared by all who ask it at the time.
   */
  readonly from?: string | readonly string[] | undefined
}

/** What a session's function gets. */
export interface SessionHandle {
  /**
   * What a later session must continue from to see all that this one wrote. Costs nothing. Needs the
   * `bookmark.secret` option.
   */
  bookmark(): string
  /**
   * Asks the primary how far its log is if this session wrote something since, so that whoever continues from the
   * bookmark need not. Never rejects: while no primary answers the bookmark stays as good, but costs that question.
   */
  settle(): Promise<void>
  /** True when something was written in this session, so that its bookmark is worth carrying. */
  readonly wrote: boolean
}

/** Begins sessions, and knows to which one a call belongs. */
export class Sessions {
  /** Of whatever runs outside of any other. */
  readonly process: Session
  readonly #topology: Topology
  readonly #bookmark: Settings['bookmark']
  readonly #ambient = new AsyncLocalStorage<Session>()

  constructor(topology: Topology, bookmark: Settings['bookmark']) {
    this.#topology = topology
    this.#bookmark = bookmark
    this.process = new Session(topology, undefined)
  }

  /** The one this is called in. */
  get current(): Session {
    return this.#ambient.getStore() ?? this.process
  }

  /** Begins one for `work` and all that it calls. */
  run<T>(options: SessionOptions, work: (session: SessionHandle) => T): T {
    const session = this.#begin(options)
    return this.#ambient.run(session, () => work(this.#handle(session)))
  }

  /** Of the present session. */
  bookmark(): string {
    return this.#handle(this.current).bookmark()
  }

  #begin(options: SessionOptions): Session {
    const read = optionReader('session')
    read.known(options, ['from'])
    const session = new Session(this.#topology, this.process)
    const { from: given = [] } = options
    for (const from of Array.isArray(given) ? given : [given]) {
      if (from === 'latest') session.saw()
      else {
        const { secret, ttl } = this.#signing()
        const bookmark = decodeBookmark(read.string('from', from, ''), secret, ttl)
        if (bookmark) session.resume(bookmark)
      }
    }
    return session
  }

  #handle(session: Session): SessionHandle {
    return {
      bookmark: () => encodeBookmark(session.bookmark(), this.#signing().secret),
      settle: async () => void (await session.floor()),
      get wrote() {
        return session.written > 0
      },
    }
  }

  #signing(): NonNullable<Settings['bookmark']> {
    if (this.#bookmark) return this.#bookmark
    throw new UsageError(
      'DB_ERR_OPTIONS',
      'bookmarks need the option bookmark.secret, the same on every node',
    )
  }
}
