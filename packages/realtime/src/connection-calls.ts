import type { CallContext } from './connection-host.ts'
import type { Identity } from './options.ts'

const MAX_CALLS = 64

export type Answer = (message: readonly unknown[]) => void

/** The calls of one connection that have no answer yet. */
export class ConnectionCalls<Who extends Identity> {
  readonly #work: (method: string, input: unknown, context: CallContext<Who>) => Promise<unknown>
  readonly #running = new Map<number, AbortController>()

  constructor(work: (method: string, input: unknown, context: CallContext<Who>) => Promise<unknown>) {
    this.#work = work
  }

  /** Answers the call; throws what the handler threw. False when too many are under way, or the id is. */
  async run(
    id: number,
    method: string,
    input: unknown,
    caller: Omit<CallContext<Who>, 'signal'>,
    answer: Answer,
  ): Promise<boolean> {
    if (this.#running.size >= MAX_CALLS || this.#running.has(id)) return false
    const controller = new AbortController()
    this.#running.set(id, controller)
    const { signal } = controller
    try {
      const result = await this.#work(method, input, { ...caller, signal })
      if (!signal.aborted) answer(['ok', id, result ?? null])
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      this.#running.delete(id)
    }
    return true
  }

  cancel(id: number): void {
    this.#running.get(id)?.abort()
  }

  close(reason: unknown): void {
    for (const call of this.#running.values()) call.abort(reason)
    this.#running.clear()
  }
}
