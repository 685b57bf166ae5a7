/**
 * The long forms of the tests that can be long: `npm run soak -w @cays/db-router -- [consistency | promotion | cancel |
 * endurance …] [--minutes 60]`. Without a name all of them run; `--minutes` is how long the process of `endurance` lives.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const FILES = {
  consistency: 'chaos/consistency.test.ts',
  promotion: 'chaos/promotion.test.ts',
  cancel: 'integration/cancel.test.ts',
  endurance: 'chaos/endurance.test.ts',
}
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: 'string', default: '60' } },
})
const names = positionals.length > 0 ? positionals : Object.keys(FILES)
const unknown = names.filter((name) => !(name in FILES))
if (unknown.length > 0 || !(Number(values.minutes) >= 0)) {
  console.error(
    `usage: npm run soak -w @cays/db-router -- [${Object.keys(FILES).join(' | ')} …] [--minutes 60]`,
  )
  process.exit(1)
}
const { status } = spawnSync(
  'npx',
  ['vitest', 'run', '--project', 'integration', '--project', 'chaos', '--no-file-parallelism'].concat(
    names.map((name) => `packages/db-router/test/${FILES[name]}`),
  ),
  {
    cwd: join(import.meta.dirname, '../../..'),
    stdio: 'inherit',
    env: {
      ...process.env,
      CAYS_READS: '1000000',
      CAYS_PHASE: '60000',
      CAYS_CANCELS: '100000',
      CAYS_FAILOVERS: '50',
      CAYS_MINUTES: values.minutes,
    },
  },
)
process.exitCode = status ?? 1
