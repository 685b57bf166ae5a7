import { raceAbort } from '@cays/core/abort'
import type { Admission } from './admission.ts'
import { UNREADABLE } from './envelope.ts'
import type { Fences } from './fences.ts'
import type { Fleet } from './fleet.ts'
import type { ReadParts } from './read-parts.ts'
import { misfitOf, type Schema } from './schema.ts'

const MISSING: unique symbol = Symbol('missing')

/** Reads of many keys that load nothing: memory, then one round trip to Redis for all that it lacks. */
export class ManyReads {
  readonly #parts: ReadParts & { readonly admission: Admission; readonly fences: Fences }

  constructor(parts: ReadParts & { readonly admission: Admission; readonly fences: Fences }) {
    this.#parts = parts
  }

  /** Those of the keys that were found and fresh, in their order, under the names they have for the caller. */
  async read(
    keys: readonly string[],
    names: readonly string[],
    signal: AbortSignal | undefined,
    schema?: Schema | undefined,
  ): Promise<ReadonlyMap<string, unknown>> {
    const { admission, fleet, memory } = this.#parts
    await admission.confirm(signal)
    const values = new Array<unknown>(keys.length).fill(MISSING)
    const missing: number[] = []
    for (const [at, key] of keys.entries()) {
      const entry = memory.fresh(key) ?? admission.trustedFresh(key)
      if (entry) values[at] = entry.value
      else missing.push(at)
    }
    if (missing.length > 0 && fleet?.usable) {
      await this.#fromRedis(fleet, keys, missing, values, signal, schema)
    }
    const found = new Map<string, unknown>()
    for (let at = 0; at < values.length; at++) {
      if (values[at] !== MISSING) found.set(names[at] as string, values[at])
    }
    return found
  }

  async #fromRedis(
    fleet: Fleet,
    keys: readonly string[],
    missing: readonly number[],
    values: unknown[],
    signal: AbortSignal | undefined,
    schema: Schema | undefined,
  ): Promise<void> {
    const { admission, envelopes, fences, observe, settings, timeline } = this.#parts
    const fence = fences.openMany()
    const { generation, confirmedUntil, epoch } = timeline
    const { freshness } = settings
    const arrival = { generation, confirmedUntil, sent: performance.now(), freshness }
    try {
      const asked = missing.map((at) => keys[at] as string)
      const readings = await raceAbort(fleet.tier.readMany(asked, epoch), signal)
      for (let i = 0; i < asked.length; i++) {
        const key = asked[i] as string
        const reading = readings[i]
        if (!reading || reading.raw === '') continue
        // Most values need nothing to be waited for, and a hundred turns of the event loop are not free.
        const opened = envelopes.open(key, reading.raw)
        const envelope = opened instanceof Promise ? await opened : opened
        if (!envelope || envelope.value === UNREADABLE || !(envelope.expires > reading.now)) continue
        if (schema && (await misfitOf(schema, envelope.value))) continue
        const knows = timeline.applied
        if (envelope.tags.length > 0 && (await admission.refusedBelow(envelope, fleet)) > 0) continue
        if (timeline.generation !== generation) continue
        if (!fence.voided.has(key)) admission.keepRead(key, envelope, reading.now, knows, arrival)
        observe('redis')
        values[missing[i] as number] = envelope.value
      }
    } catch {
      signal?.throwIfAborted()
    } finally {
      fence.close()
    }
  }
}
