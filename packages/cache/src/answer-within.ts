import { CacheError } from './errors.ts'

/** Rejects after `milliseconds`, unless the answer is already waiting in the socket behind a busy event loop. */
export function answerWithin<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const expire = () => {
      reject(new CacheError('CACHE_ERR_REDIS', 'redis did not answer in time; see l2.timeout'))
    }
    const timer = setTimeout(() => setImmediate(() => setImmediate(expire)), milliseconds)
    promise.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
