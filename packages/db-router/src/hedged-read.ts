import type { QueryResult } from 'pg'

/** A read that may run on two servers at once; its answer is whichever comes first. */
export interface HedgedRead {
  readonly text: string
  /** Runs it as any read. Aborting gives it up, and cancels it on its server. */
  first(signal: AbortSignal): Promise<QueryResult>
  /**
   * Looks for another replica that has a free connection and, as far as the session needs it, what the session has seen.
   * Gives what runs the read there, once and without another try; `undefined` when there is no such replica.
   */
  second(): Promise<((signal: AbortSignal) => Promise<QueryResult>) | undefined>
}

/** Decides when reads run a second time; `hedging()` of `@cays/db-router/hedge` makes one. */
export interface Hedging {
  /** Called for each read outside of transactions that does no harm when it runs twice. */
  run(read: HedgedRead): Promise<QueryResult>
}

/** Why the slower of the two was given up; nobody but telemetry hears of it. */
export class Superseded extends Error {
  readonly outcome = 'superseded'

  constructor() {
    super('another server answered first')
  }
}

export function isSuperseded(error: unknown): boolean {
  return (error as { outcome?: unknown } | null | undefined)?.outcome === 'superseded'
}
