import type { Fence } from './fences.ts'

/** One load of one key in this process, shared by its callers. */
export class Flight {
  readonly key: string
  readonly fence: Fence
  /** Loads though a value is fresh that has less than this many milliseconds left; 0 for any other load. */
  readonly early: number
  readonly startedAt: number = performance.now()
  /** What callers get: the value, or an older one while the load goes on behind it. */
  readonly answer: Promise<unknown>
  /** The tags the loaded value has so far. */
  tags: readonly string[]
  /** Sequence and generation the process knew when the loader began: what the value knows of invalidations. */
  knows = 0
  generation = 0
  /** Set when the loader begins: until when its value is within the bound whatever the feed says. */
  currentUntil: number = Number.NEGATIVE_INFINITY
  #resolve: (value: unknown) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(key: string, fence: Fence, tags: readonly string[], early: number) {
    this.key = key
    this.early = early
    this.fence = fence
    this.tags = tags
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // A load that goes on behind an older value, or whose callers all left, may fail with nobody listening.
    this.answer.catch(() => {})
  }

  resolve(value: unknown): void {
    this.#resolve(value)
  }

  reject(error: unknown): void {
    this.#reject(error)
  }
}
