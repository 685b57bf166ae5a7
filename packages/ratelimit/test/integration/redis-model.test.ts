import { readFileSync } from 'node:fs'
import { type StandaloneRedis, startRedis } from '@cays/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { decideScript } from '../../src/redis-decide.ts'
import { tryNodes, trySlots } from '../model/fleet-trials.ts'
import { type Ground, SCRIPT_TRIALS } from '../model/script-trials.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
const ROUNDS = 6

let server: StandaloneRedis
let ground: Ground
beforeAll(async () => {
  server = await startRedis()
  const operator = new Redis(server.url)
  // A user who may do no more than the README lists. Connecting itself needs HELLO and the like.
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const section = readme.slice(readme.indexOf('## Redis commands'), readme.indexOf('## Compatibility'))
  const commands = [...section.matchAll(/`([A-Z\s]+)`/g)].flatMap(([, names = '']) => names.split(/\s+/))
  const rules = commands.map((command) => `+${command.toLowerCase()}`)
  await server.acl('app', 'on', '>secret', '~model*', '~clock:*', '-@all', '+@connection', '+info', ...rules)
  ground = { operator, user: new Redis(server.url, { username: 'app', password: 'secret' }) }
})
afterAll(async () => {
  ground?.user.disconnect()
  ground?.operator.disconnect()
  await server?.close()
})

describe(`the Redis script (seed ${seed})`, () => {
  it.each(SCRIPT_TRIALS)('$promise', async ({ run, seeded }) => {
    for (let round = 0; round < (seeded ? ROUNDS : 1); round++) await run(ground, decideScript, seed + round)
  })
})

describe('the scripts of the fleet', () => {
  it('count the nodes that live, and say who is new', () => tryNodes(ground))

  it('give out as many slots as there are, extend those that are held and free those that ended', () =>
    trySlots(ground))
})
