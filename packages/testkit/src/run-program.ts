import { type SpawnOptions, spawn } from 'node:child_process'
import { basename } from 'node:path'
import { TestkitError } from './errors.ts'
import { superviseChild } from './guardian.ts'

const OUTPUT_KEPT = 4_000

/** Runs a program to its end; rejects with the end of its output unless it exits with 0. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: SpawnOptions,
): Promise<void> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  superviseChild(child, { stopSignal: 'SIGKILL' })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_KEPT)
    })
  }
  await new Promise<void>((resolve, reject) => {
    const fail = (what: string, cause?: unknown) =>
      reject(
        new TestkitError('TESTKIT_ERR_START_FAILED', `${basename(program)} ${what}\n${output.trim()}`, {
          ...(cause === undefined ? {} : { cause }),
        }),
      )
    child.once('error', (error) => fail('could not be run', error))
    child.once('close', (code, signal) => {
      if (code === 0) resolve()
      else fail(signal ? `was ended by ${signal}` : `ended with code ${code}`)
    })
  })
}

/** The environment of a server: ours, without what would change its language, its time zone or its defaults. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG|NODE_)/.test(name))
  return { ...Object.fromEntries(kept), LC_ALL: 'C', TZ: 'UTC' }
}
