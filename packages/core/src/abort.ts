import { MAX_TIMER } from './duration.ts'

/**
 * Settles as `promise` does, or rejects with `signal.reason`, untouched, as soon as the signal aborts.
 *
 * It detaches the caller; it cannot stop the work behind `promise`, whose later outcome is then ignored.
 * No listener is left on the signal.
 */
export function raceAbort<T>(promise: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return Promise.resolve(promise)
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) {
      promise.then(undefined, () => {})
      abort()
      return
    }
    signal.addEventListener('abort', abort, { once: true })
    promise.then(
      (value) => {
        signal.removeEventListener('abort', abort)
        resolve(value)
      },
      (error: unknown) => {
        signal.removeEventListener('abort', abort)
        reject(error)
      },
    )
  })
}

/** Resolves after `milliseconds`; rejects with `signal.reason` when aborted. `unref` lets the process end meanwhile. */
export function delay(
  milliseconds: number,
  options: { readonly signal?: AbortSignal | undefined; readonly unref?: boolean } = {},
): Promise<void> {
  const { signal, unref = false } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const abort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(
      () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      },
      Math.min(milliseconds, MAX_TIMER),
    )
    if (unref) timer.unref()
    signal?.addEventListener('abort', abort, { once: true })
  })
}

/** A limit in time that is being watched; see {@link deadline}. */
export interface Deadline extends Disposable {
  /** Aborts when the time is over or the outer signal aborts, whichever comes first. */
  readonly signal: AbortSignal
  /** True when it was the time that ran out. */
  readonly expired: boolean
}

/**
 * A signal that aborts with `expire()` as its reason after `milliseconds`, or with the reason of `outer`.
 * Dispose it when the work is over: the timer and the listener on `outer` go away.
 */
export function deadline(milliseconds: number, expire: () => unknown, outer?: AbortSignal): Deadline {
  const controller = new AbortController()
  let expired = false
  const abort = () => controller.abort(outer?.reason)
  const timer = setTimeout(
    () => {
      expired = true
      controller.abort(expire())
    },
    Math.min(milliseconds, MAX_TIMER),
  )
  if (outer?.aborted) abort()
  else outer?.addEventListener('abort', abort, { once: true })
  return {
    signal: controller.signal,
    get expired() {
      return expired
    },
    [Symbol.dispose]() {
      clearTimeout(timer)
      outer?.removeEventListener('abort', abort)
    },
  }
}

/**
 * Settles as `promise` does, or rejects with `expire()` after `milliseconds`, or with `signal.reason`.
 * Like {@link raceAbort} it detaches the caller and cannot stop the work.
 */
export async function raceDeadline<T>(
  promise: PromiseLike<T>,
  milliseconds: number,
  expire: () => unknown,
  signal?: AbortSignal,
): Promise<T> {
  using limit = deadline(milliseconds, expire, signal)
  return await raceAbort(promise, limit.signal)
}
