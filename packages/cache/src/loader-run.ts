import { type Duration, parseDuration } from '@cays/core/duration'
import type { Loaded } from './admission.ts'
import { CacheUsageError } from './errors.ts'
import type { Flight } from './flight.ts'
import { plainKey } from './key.ts'
import { withinTimeout } from './load-deadline.ts'
import type { Loader, Plan } from './plan.ts'
import type { LoadParts } from './read-parts.ts'
import { misfitOf, unfit } from './schema.ts'
import { LOADS } from './telemetry.ts'

/** Runs the loader for a flight, from now on current as of now, with what it says about its value. */
export async function runLoader<T>(
  { timeline, settings, closing, failures, observe }: LoadParts,
  flight: Flight,
  load: Loader<T>,
  plan: Plan,
  older: { readonly value: unknown } | undefined,
): Promise<Loaded> {
  flight.knows = timeline.applied
  flight.generation = timeline.generation
  flight.currentUntil = performance.now() + settings.sync.maxStaleness
  const { timeout, errorBackoff } = plan.freshness
  let ttl: number | undefined
  let grace: number | undefined
  const context = {
    tag: (...tags: readonly string[]) => {
      flight.tags = [...flight.tags, ...tags.map(plainKey)]
    },
    ttl: (own: Duration) => {
      ttl = durationOf(own, 'ttl')
    },
    grace: (own: Duration) => {
      grace = durationOf(own, 'grace')
    },
    previous: older && { value: older.value },
  }
  try {
    const work = () => withinTimeout((signal) => load({ ...context, signal }), timeout, closing)
    const began = performance.now()
    const value = await (LOADS.active
      ? LOADS.trace({ instance: settings.name, attributes: {} }, work)
      : work())
    const took = performance.now() - began
    observe('loaded')
    const misfit = await misfitOf(plan.schema, value)
    if (misfit) throw unfit(misfit)
    return { value, ttl, grace, took }
  } catch (error) {
    if (!(error instanceof CacheUsageError)) failures.add(flight.key, error, errorBackoff)
    throw error
  }
}

function durationOf(own: Duration, name: string): number {
  const milliseconds = parseDuration(own)
  if (milliseconds === undefined)
    throw new CacheUsageError('CACHE_ERR_OPTION', `ctx.${name} takes a duration`)
  return milliseconds
}
