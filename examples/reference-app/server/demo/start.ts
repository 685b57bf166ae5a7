import { parseArgs } from 'node:util'
import { SEED_SIZES, type SeedSize } from '../database/seed.ts'
import { DEMO_PASSWORD, startStack } from './stack.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: process.env.PORT ?? '0' },
    size: { type: 'string', default: 'tiny' },
    redis: { type: 'string', default: process.env.REDIS_URL ?? 'start' },
    verbose: { type: 'boolean', default: false },
  },
})
const say = (text: string) => process.stdout.write(`${text}\n`)

if (!(values.size in SEED_SIZES)) {
  say(`--size must be one of ${Object.keys(SEED_SIZES).join(', ')}`)
  process.exit(2)
}

const started = Date.now()
const stack = await startStack({
  port: Number(values.port),
  size: values.size as SeedSize,
  redis: values.redis,
  logLevel: values.verbose ? 'info' : 'error',
  onProgress: (step) => say(`  ${step} …`),
  onLog: (line) => process.stderr.write(`${line}\n`),
}).catch((error: unknown) => {
  say(`\nHarbour could not start: ${error instanceof Error ? error.message : error}`)
  process.exit(1)
})

say(`
  Harbour is open after ${((Date.now() - started) / 1_000).toFixed(1)} s

    ${stack.url}            the job board
    ${stack.url}/status     the system under it, and buttons that break it

  Sign in as seeker@harbour.example or employer@harbour.example, password ${DEMO_PASSWORD}
  Ctrl-C stops everything that was started.
`)

let leaving = false
const leave = async () => {
  // A second Ctrl-C means now: the guardian ends the servers.
  if (leaving) process.exit(1)
  leaving = true
  say('\n  Closing …')
  await stack.close()
  process.exit(0)
}
process.on('SIGINT', leave)
process.on('SIGTERM', leave)
