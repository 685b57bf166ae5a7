import type { Measures, Operation } from '../../../bench/define-case.ts'

/** Runs an operation and measures, per operation, what a running total grows by meanwhile. */
export function counted(
  name: string,
  run: Operation['run'],
  total: () => number | Promise<number>,
): (count: number) => Promise<Measures> {
  return async (count) => {
    const before = await total()
    await run(count)
    return { [name]: ((await total()) - before) / count }
  }
}
