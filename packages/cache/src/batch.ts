import { deadline } from '@cays/core/abort'
import { CacheLoadError, CacheUsageError } from './errors.ts'

/** What a batch loader is given. */
export interface BatchContext {
  /** Aborts when the batch exceeds `timeout`. */
  readonly signal: AbortSignal
}

/**
 * Turns loads of single ids that are asked for together into calls of one batch loader. Loads that come within
 * one turn of the event loop share a call, each id once.
 */
export class Batch<Id, T> {
  readonly #loadMany: (ids: readonly Id[], context: BatchContext) => readonly T[] | PromiseLike<readonly T[]>
  readonly #timeout: number
  #collecting: { readonly ids: Id[]; readonly values: Promise<readonly T[]> } | undefined

  constructor(
    loadMany: (ids: readonly Id[], context: BatchContext) => readonly T[] | PromiseLike<readonly T[]>,
    timeout: number,
  ) {
    this.#loadMany = loadMany
    this.#timeout = timeout
  }

  async load(id: Id): Promise<T> {
    this.#collecting ??= this.#collect()
    const { ids, values } = this.#collecting
    const at = ids.push(id) - 1
    const loaded = await values
    return loaded[at] as T
  }

  #collect(): { readonly ids: Id[]; readonly values: Promise<readonly T[]> } {
    const ids: Id[] = []
    const turn = new Promise<void>((resolve) => setImmediate(resolve))
    return { ids, values: turn.then(() => this.#run(ids)) }
  }

  async #run(ids: readonly Id[]): Promise<readonly T[]> {
    this.#collecting = undefined
    using limit = deadline(
      this.#timeout,
      () => new CacheLoadError('CACHE_ERR_LOAD_TIMEOUT', 'the batch was not loaded within timeout'),
    )
    const values = await this.#loadMany(ids, { signal: limit.signal })
    if (!Array.isArray(values) || values.length !== ids.length) {
      throw new CacheUsageError(
        'CACHE_ERR_VALUE',
        'a batch loader must return an array with one value per id, in the order of the ids',
      )
    }
    return values
  }
}
