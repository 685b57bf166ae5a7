import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Answer, Request, Round } from './contender.ts'
import type { BenchmarkCase, Servers } from './define-case.ts'

const ANSWER_LIMIT = 300_000

/** What a contender took, round by round. */
export interface Measured {
  readonly name: string
  readonly rounds: readonly Round[]
}

export interface Contest {
  /** In the order of the case. */
  readonly contenders: readonly Measured[]
  readonly control: Measured
}

/**
 * Measures a case: each contender and the control in a process of its own, which runs built packages, one at a
 * time. The order changes from round to round, so that no contender always follows the same one.
 */
export async function contest(
  benchmark: Required<BenchmarkCase>,
  file: string,
  servers: Servers,
): Promise<Contest> {
  const seats = [
    ...benchmark.contenders.map(({ name }, index) => ({ name, index })),
    { name: 'control', index: 0 },
  ]
  const players: Player[] = []
  try {
    for (const { name, index } of seats) {
      const player = new Player(name)
      players.push(player)
      await player.ask({ type: 'prepare', file, contender: index, servers })
    }
    for (let round = -benchmark.warmUps; round < benchmark.rounds; round += 1) {
      const shift = (round + benchmark.warmUps) % players.length
      const order = [...players.slice(shift), ...players.slice(0, shift)]
      if (round % 2 !== 0) order.reverse()
      for (const player of order) {
        const answer = await player.ask({ type: 'round', time: benchmark.roundTime })
        if (round >= 0 && 'round' in answer) player.rounds.push(answer.round)
      }
    }
  } finally {
    await Promise.all(players.map((player) => player.close()))
  }
  const control = players.pop()
  if (!control) throw new Error('a contest without contenders')
  return { contenders: players, control }
}

class Player implements Measured {
  readonly name: string
  readonly rounds: Round[] = []
  readonly #child: ChildProcess
  readonly #exited: Promise<void>

  constructor(name: string) {
    this.name = name
    this.#child = fork(join(import.meta.dirname, 'contender.ts'), {
      // Without the condition of the sources: what is measured is what is published. What a peer
      // warns of says nothing about its speed.
      execArgv: ['--expose-gc', '--no-warnings', '--import', 'tsx'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', () => resolve())
      this.#child.once('error', () => resolve())
    })
  }

  async ask(request: Request): Promise<Answer> {
    const answer = await new Promise<Answer>((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${this.name} gave no answer within ${ANSWER_LIMIT / 1_000} s`)),
        ANSWER_LIMIT,
      )
      const settle = (settled: () => void) => {
        clearTimeout(late)
        this.#child.removeAllListeners('message')
        settled()
      }
      this.#child.once('message', (message: Answer) => settle(() => resolve(message)))
      void this.#exited.then(() => settle(() => reject(new Error(`${this.name} ended before its answer`))))
      if (this.#child.connected) this.#child.send(request)
    })
    if ('failed' in answer) throw new Error(`${this.name}: ${answer.failed}`)
    return answer
  }

  async close(): Promise<void> {
    if (this.#child.connected) this.#child.send({ type: 'close' } satisfies Request)
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), 5_000)
    await this.#exited
    clearTimeout(kill)
  }
}
