import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { MyApplication } from '../../contract/application.ts'
import type { JobPage } from '../../contract/job.ts'
import type { SystemStatus } from '../../contract/status.ts'
import { DEMO_ACCOUNTS } from '../../server/database/seed.ts'
import { DEMO_PASSWORD, type Stack, startStack } from '../../server/demo/stack.ts'
import { pdf, Visitor } from '../support/visitor.ts'

let stack: Stack

beforeAll(async () => {
  stack = await startStack()
}, 120_000)
afterAll(async () => {
  await stack?.close()
}, 60_000)

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const until = async (condition: () => Promise<boolean>, limit = 40_000) => {
  const end = Date.now() + limit
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('it did not happen in time')
    await pause(100)
  }
}

/** Visitors who read, search, post and close until told to stop; gives the status of every answer. */
function traffic(writers: readonly Visitor[]) {
  let going = true
  const answers = new Map<string, number>()
  const served = () => answers.get('GET 200') ?? 0
  const failures: string[] = []
  const ask = async (visitor: Visitor, method: string, path: string, body?: unknown) => {
    try {
      const answer = await visitor.request(method, `/api/v1${path}`, body === undefined ? {} : { body })
      const text = await answer.text()
      const what = `${method} ${answer.status}`
      answers.set(what, (answers.get(what) ?? 0) + 1)
      if (answer.status >= 500) failures.push(`${method} ${path}: ${answer.status} ${text}`)
      return answer.ok && text ? JSON.parse(text) : undefined
    } catch (error) {
      failures.push(`${method} ${path}: ${error} ${(error as Error).cause ?? ''}`)
      return undefined
    }
  }
  const reader = async () => {
    const visitor = new Visitor(stack.url)
    while (going) {
      const page: JobPage | undefined = await ask(visitor, 'GET', '/jobs?island=Abaco')
      if (page?.items[0]) await ask(visitor, 'GET', `/jobs/${page.items[0].id}`)
      await ask(visitor, 'GET', '/jobs?q=cook')
      await pause(20)
    }
  }
  const writer = async (visitor: Visitor) => {
    while (going) {
      await ask(visitor, 'POST', '/notifications/read')
      await ask(visitor, 'GET', '/employer/jobs')
      await pause(250)
    }
  }
  const done = Promise.all([reader(), reader(), reader(), ...writers.map(writer)])
  return {
    failures,
    /** Waits until visitors have read this many pages more. */
    async serves(pages: number) {
      const enough = served() + pages
      await until(async () => served() >= enough)
    },
    async stop() {
      going = false
      await done
    },
  }
}

async function employer(): Promise<Visitor> {
  const visitor = new Visitor(stack.url)
  await visitor.signUp('employer')
  return visitor
}

afterEach(async () => {
  await new Visitor(stack.url).call('POST', '/demo/heal')
  await until(async () => {
    const { nodes } = await new Visitor(stack.url).call<SystemStatus>('GET', '/status')
    return (
      nodes.length === 2 &&
      nodes.every((node) => node.redis === 'up' && node.databases.every((database) => database.up))
    )
  })
}, 60_000)

describe('while visitors read and write', () => {
  it('a deploy restarts both nodes and not one request fails', async () => {
    const load = traffic([await employer(), await employer()])
    await load.serves(20)
    for (const node of stack.nodes) {
      await node.stop()
      await node.start()
      await load.serves(20)
    }
    await load.stop()
    expect(load.failures).toEqual([])
  })

  it('a replica dies, the other freezes, and no read fails', async () => {
    const load = traffic([])
    await load.serves(20)
    await stack.postgres.replicas[0]?.kill()
    await load.serves(20)
    await stack.postgres.replicas[1]?.freeze()
    await until(async () => {
      const { nodes } = await new Visitor(stack.url).call<SystemStatus>('GET', '/status')
      const up = nodes.flatMap((node) => node.databases.filter((database) => database.up))
      return nodes.length === 2 && up.every(({ role }) => role === 'primary')
    })
    await load.serves(20)
    await load.stop()
    expect(load.failures).toEqual([])
  })

  it('a node crashes and no read fails; it comes back', async () => {
    const load = traffic([])
    await load.serves(20)
    await stack.nodes[0]?.kill()
    await load.serves(40)
    await stack.nodes[0]?.start()
    await load.serves(20)
    await load.stop()
    expect(load.failures).toEqual([])
  })

  it('the bucket stops: everything but résumés goes on', async () => {
    const seeker = new Visitor(stack.url)
    await seeker.signUp('seeker')
    const load = traffic([])
    const demo = new Visitor(stack.url)
    await demo.call('POST', '/sessions', { email: DEMO_ACCOUNTS.seeker.email, password: DEMO_PASSWORD })
    const [sent] = await demo.call<MyApplication[]>('GET', '/applications')
    await stack.r2.kill()
    const bucketIs = async (state: string) => {
      const { nodes } = await seeker.call<SystemStatus>('GET', '/status')
      return nodes.length === 2 && nodes.every((node) => node.bucket === state)
    }
    await until(() => bucketIs('down'))
    const refused = await demo.request('GET', `/api/v1/applications/${sent?.id}/resume`)
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({
      detail: 'Résumés cannot be opened right now. Everything else works.',
    })
    await stack.r2.start()
    await until(() => bucketIs('up'))
    await seeker.upload(pdf(500))
    await load.stop()
    expect(load.failures).toEqual([])
  })

  /** The state of Redis as both nodes see it; somebody has to ask it for a node to notice. */
  const redisIs = async (state: string, visitor: Visitor) => {
    const answers = await Promise.all(Array.from({ length: 4 }, () => visitor.request('GET', '/api/v1/me')))
    // A session that a node never saw is answered 503, never as nobody's.
    for (const answer of answers) {
      if (answer.status === 200) expect(await answer.json()).toMatchObject({ role: 'employer' })
      else expect(answer.status).toBe(503)
    }
    const { nodes } = await visitor.call<SystemStatus>('GET', '/status')
    return nodes.length === 2 && nodes.every((node) => node.redis === state)
  }

  it('Redis dies: pages go on, signed-in visitors stay signed in, and it comes back by itself', async () => {
    const visitor = await employer()
    await visitor.call('GET', '/me')
    const load = traffic([])
    await stack.redis?.kill()
    await until(() => redisIs('down', visitor))
    await until(async () => (await visitor.request('GET', '/api/v1/me')).status === 200)
    await stack.redis?.start()
    await until(() => redisIs('up', visitor))
    await load.stop()
    expect(load.failures).toEqual([])
    expect(await visitor.call('GET', '/me')).toMatchObject({ role: 'employer' })
  })

  it('Redis freezes: every node notices, no page fails, and it comes back by itself', async () => {
    const visitor = await employer()
    await visitor.call('GET', '/me')
    const load = traffic([])
    await stack.redis?.freeze()
    await until(() => redisIs('down', visitor))
    await stack.redis?.thaw()
    await until(() => redisIs('up', visitor))
    await load.stop()
    expect(load.failures).toEqual([])
    expect(await visitor.call('GET', '/me')).toMatchObject({ role: 'employer' })
  })
})
