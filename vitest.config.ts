import { defineConfig } from 'vitest/config'
import { testsNeeding } from './scripts/parts.mjs'

// Everything runs from sources: no package has to be built before its tests.
const source = { resolve: { conditions: ['@cays/source', 'node', 'development|production'] } }

// How many of the machine's servers one run may start at once: real Postgres and Redis share two cores.
// What is waited for comes soon or never; on a busy machine soon takes longer.
const realServers = {
  maxWorkers: 2,
  testTimeout: 60_000,
  hookTimeout: 120_000,
  expect: { poll: { timeout: 20_000 } },
}

// `npm test` names the servers that this machine lacks; what needs them is left out and reported.
const missing = process.env.CAYS_MISSING?.split(',').filter(Boolean) ?? []
const leftOut = testsNeeding(missing, import.meta.dirname)

// Projects of one order share their workers, so one that has its own number of them has its own order.
let order = 1

function project(name: string, include: readonly string[], test: object = {}) {
  const sequence = 'maxWorkers' in test ? { groupOrder: order++ } : {}
  return {
    ...source,
    ssr: source,
    test: { name, include: [...include], exclude: leftOut, sequence, ...test },
  }
}

export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      project('unit', ['packages/*/test/unit/**/*.test.ts', 'examples/*/test/unit/**/*.test.ts']),
      project('conventions', ['test/{conventions,scripts,bench}/**/*.test.ts'], { testTimeout: 60_000 }),
      project('types', [], {
        include: [],
        typecheck: {
          enabled: true,
          only: true,
          include: ['packages/*/test/types/**/*.test-d.ts'],
          tsconfig: './tsconfig.json',
        },
      }),
      project(
        'integration',
        ['packages/*/test/integration/**/*.test.ts', 'examples/*/test/integration/**/*.test.ts'],
        realServers,
      ),
      project('chaos', ['packages/*/test/chaos/**/*.test.ts', 'examples/*/test/chaos/**/*.test.ts'], {
        ...realServers,
        testTimeout: 60_000,
      }),
      project('browser', ['packages/*/test/browser/**/*.test.ts', 'examples/*/test/browser/**/*.test.ts'], {
        ...realServers,
        maxWorkers: 1,
        testTimeout: 120_000,
      }),
      project('docs', ['test/docs/**/*.test.ts'], realServers),
      project('packaging', ['test/packaging/**/*.test.ts'], {
        globalSetup: './test/packaging/global-setup.ts',
        maxWorkers: 2,
        testTimeout: 60_000,
      }),
    ],
  },
})
