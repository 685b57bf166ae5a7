import { randomUUID } from 'node:crypto'
import { createClient } from '@cays/realtime/client'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { MyApplication, Notification, ReceivedApplication } from '../../contract/application.ts'
import type { JobDetail, JobPage } from '../../contract/job.ts'
import type { Problem } from '../../contract/problem.ts'
import type { SystemStatus } from '../../contract/status.ts'
import { type Stack, startStack } from '../../server/demo/stack.ts'
import type { liveContract } from '../../server/live.ts'
import { JOB, pdf, Visitor } from '../support/visitor.ts'

let stack: Stack
let primary: pg.Pool

beforeAll(async () => {
  stack = await startStack()
  primary = new pg.Pool({ connectionString: stack.postgres.primary.url, max: 2 })
}, 120_000)
afterAll(async () => {
  await primary?.end()
  await stack?.close()
}, 60_000)

const visitor = () => new Visitor(stack.url)
const until = async (condition: () => boolean | Promise<boolean>, limit = 15_000) => {
  const end = Date.now() + limit
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('it did not happen in time')
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

async function pair() {
  const [employer, seeker] = [visitor(), visitor()]
  await Promise.all([employer.signUp('employer'), seeker.signUp('seeker')])
  return { employer, seeker }
}

function listen(of: Visitor) {
  const received: [string, unknown][] = []
  const client = createClient<typeof liveContract>({
    url: `${of.url.replace('http', 'ws')}/rt`,
    WebSocket: class extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols, { headers: { origin: of.url } })
      }
    } as never,
    getToken: async () => (await of.call<{ readonly token: string }>('POST', '/realtime/tokens')).token,
  })
  const room = client.user()
  for (const name of [
    'application-received',
    'application-moved',
    'application-status',
    'notification',
  ] as const) {
    room.on(name, (payload: unknown) => received.push([name, payload]))
  }
  return { client, received, names: () => received.map(([name]) => name) }
}

describe('the journey of a job', () => {
  it('goes from posting to an offer, live on both sides, with the bytes of the résumé passing the app by', async () => {
    const { employer, seeker } = await pair()
    const [hearsEmployer, hearsSeeker] = [listen(employer), listen(seeker)]
    await Promise.all([hearsEmployer.client.connect(), hearsSeeker.client.connect()])

    const job = await employer.postJob({ title: 'Lobster Diver' })
    const found = await seeker.call<JobPage>('GET', '/jobs?q=lobster')
    expect(found.items.map((item) => item.id)).toContain(job.id)

    const resume = pdf(20_000)
    const application = await seeker.apply(job.id, resume)
    expect(application).toMatchObject({ status: 'new', job: { id: job.id }, resumeName: 'résumé.pdf' })
    await until(() => hearsEmployer.names().includes('application-received'))

    const [received] = await employer.call<ReceivedApplication[]>(
      'GET',
      `/employer/jobs/${job.id}/applications`,
    )
    expect(received).toMatchObject({ id: application.id, applicant: { name: 'Simone Bethel' } })
    const { url } = await employer.call<{ readonly url: string }>(
      'GET',
      `/applications/${application.id}/resume`,
    )
    expect(new URL(url).origin).toBe(stack.r2.url)
    expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(resume)).toBe(true)

    await employer.call('PATCH', `/applications/${application.id}`, { status: 'offer', version: 1 })
    await until(() => hearsSeeker.names().includes('application-status'))
    expect(hearsSeeker.received.find(([name]) => name === 'application-status')?.[1]).toMatchObject({
      status: 'offer',
      version: 2,
    })
    expect((await seeker.call<Notification[]>('GET', '/notifications'))[0]).toMatchObject({
      kind: 'application-status',
      read: false,
    })
    await Promise.all([hearsEmployer.client.close(), hearsSeeker.client.close()])
  })

  it('applies once, however often the button is pressed', async () => {
    const { employer, seeker } = await pair()
    const job = await employer.postJob()
    const uploadToken = await seeker.upload(pdf(500))
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        seeker.request('POST', `/api/v1/jobs/${job.id}/applications`, { body: { uploadToken, note: '' } }),
      ),
    )
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201])
    const ids = await Promise.all(answers.map(async (answer) => ((await answer.json()) as MyApplication).id))
    expect(new Set(ids).size).toBe(1)
    expect(await employer.call('GET', `/employer/jobs/${job.id}/applications`)).toHaveLength(1)
  })

  it('shows every writer its own change at once, on whichever node and however far the replicas lag', async () => {
    const { employer } = await pair()
    await Promise.all(stack.postgres.replicas.map((replica) => replica.lag('2s')))
    try {
      for (let round = 0; round < 10; round++) {
        const job = await employer.postJob({ title: `Lagging Cook ${round}` })
        const [mine, page, detail] = await Promise.all([
          employer.call<{ readonly id: string }[]>('GET', '/employer/jobs'),
          employer.call<JobPage>('GET', '/jobs?island=Abaco'),
          employer.call<JobDetail>('GET', `/jobs/${job.id}`),
        ])
        expect(mine.map((item) => item.id)).toContain(job.id)
        expect(page.items.map((item) => item.id)).toContain(job.id)
        expect(detail.job.status).toBe('open')
        await employer.call('PATCH', `/jobs/${job.id}`, { status: 'closed' })
        expect((await employer.call<JobDetail>('GET', `/jobs/${job.id}`)).job.status).toBe('closed')
        // Strangers have no bookmark; the pages they share must be new all the same.
        const stranger = await visitor().call<JobPage>('GET', '/jobs?island=Abaco')
        expect(stranger.items.map((item) => item.id)).not.toContain(job.id)
      }
    } finally {
      await Promise.all(stack.postgres.replicas.map((replica) => replica.lag(0)))
    }
  })

  it('tells the second of two who move an application that the first was faster', async () => {
    const { employer, seeker } = await pair()
    const job = await employer.postJob()
    const { id } = await seeker.apply(job.id)
    const move = (status: string) =>
      employer.request('PATCH', `/api/v1/applications/${id}`, { body: { status, version: 1 } })
    const [one, two] = await Promise.all([move('reviewing'), move('closed')])
    expect([one?.status, two?.status].sort()).toEqual([200, 409])
    const late = (one?.status === 409 ? one : two) as Response
    expect(((await late.json()) as Problem).current).toMatchObject({ id, version: 2 })
  })
})

describe('sessions', () => {
  it('end on every node at once when they are revoked, with their sockets', async () => {
    const laptop = visitor()
    const account = await laptop.signUp('seeker')
    const phone = visitor()
    await phone.call('POST', '/sessions', { email: account.email, password: 'a long enough password' })
    const { client } = listen(phone)
    await client.connect()
    const sessions = await laptop.call<{ readonly id: string; readonly current: boolean }[]>(
      'GET',
      '/sessions',
    )
    expect(sessions).toHaveLength(2)
    const other = sessions.find((session) => !session.current)
    await laptop.call('DELETE', `/sessions/${other?.id}`)
    for (let node = 0; node < 4; node++) {
      expect(await phone.call('GET', '/me')).toBeNull()
      expect((await phone.request('GET', '/api/v1/notifications')).status).toBe(401)
    }
    expect(await laptop.call('GET', '/me')).toMatchObject({ id: account.id })
    await until(() => client.status === 'stopped')
    await client.close()
  })

  it('are no error to be without: a visitor who only looks is told that nobody is signed in', async () => {
    expect(await visitor().call('GET', '/me')).toBeNull()
  })

  it('cannot be had by trying passwords one after the other', async () => {
    const { email } = await visitor().signUp('seeker')
    const tries: Response[] = []
    for (let index = 0; index < 20; index++) {
      const body = { email, password: `guess number ${index}` }
      tries.push(await visitor().request('POST', '/api/v1/sessions', { body }))
    }
    expect(tries.filter((answer) => answer.status === 401)).toHaveLength(15)
    expect(tries.filter((answer) => answer.status === 429)).toHaveLength(5)
    const right = { email, password: 'a long enough password' }
    expect((await visitor().request('POST', '/api/v1/sessions', { body: right })).status).toBe(429)
  })

  it('are not given for a wrong password nor an unknown address', async () => {
    const known = visitor()
    const { email } = await known.signUp('seeker')
    for (const body of [
      { email, password: 'not the password' },
      { email: 'nobody@harbour.example', password: 'not the password' },
    ]) {
      const answer = await visitor().request('POST', '/api/v1/sessions', { body })
      expect(answer.status).toBe(401)
      expect(answer.headers.getSetCookie().join()).not.toContain('harbour_session')
    }
  })
})

describe('bad input', () => {
  const HTML = '<script>alert(1)</script>'
  const SQL = "'); drop table accounts; --"

  async function counts(): Promise<unknown> {
    const { rows } = await primary.query(
      `select (select count(*) from accounts) as accounts, (select count(*) from jobs) as jobs,
              (select count(*) from applications) as applications, (select sum(version) from applications) as versions`,
    )
    return rows[0]
  }

  it('gets a problem document on every route, and nothing is written', async () => {
    const { employer, seeker } = await pair()
    const job = await employer.postJob()
    const { id } = await seeker.apply(job.id)
    const stranger = await pair()
    const before = await counts()
    const api = '/api/v1'
    const signUp = {
      email: 'x@harbour.example',
      password: 'a long enough password',
      name: 'X',
      role: 'seeker',
    }
    const attempts: [Visitor, string, string, object | string | undefined, number][] = [
      [visitor(), 'POST', '/accounts', {}, 422],
      [visitor(), 'POST', '/accounts', 'not json', 400],
      [visitor(), 'POST', '/accounts', '[1,2]', 422],
      [visitor(), 'POST', '/accounts', 'null', 400],
      [visitor(), 'POST', '/accounts', { ...signUp, email: SQL }, 422],
      [visitor(), 'POST', '/accounts', { ...signUp, email: 5 }, 422],
      [visitor(), 'POST', '/accounts', { ...signUp, password: 'short' }, 422],
      [visitor(), 'POST', '/accounts', { ...signUp, role: 'admin' }, 422],
      [visitor(), 'POST', '/accounts', { ...signUp, role: 'employer' }, 422],
      [visitor(), 'POST', '/accounts', { ...signUp, isAdmin: true }, 422],
      [visitor(), 'POST', '/accounts', { ...signUp, name: 'x'.repeat(100_000) }, 413],
      [visitor(), 'POST', '/sessions', { email: ['a'], password: {} }, 422],
      [visitor(), 'GET', '/sessions', undefined, 401],
      [visitor(), 'DELETE', '/sessions/current', undefined, 401],
      [seeker, 'DELETE', `/sessions/${encodeURIComponent(SQL)}`, undefined, 404],
      [visitor(), 'POST', '/realtime/tokens', undefined, 401],
      [visitor(), 'GET', '/jobs?island=Atlantis', undefined, 422],
      [visitor(), 'GET', '/jobs?payMin=lots', undefined, 422],
      [visitor(), 'GET', `/jobs?q=${'x'.repeat(500)}`, undefined, 422],
      [visitor(), 'GET', '/jobs?unknown=1', undefined, 422],
      [visitor(), 'GET', '/jobs?q[$ne]=1', undefined, 422],
      [visitor(), 'GET', `/jobs/${randomUUID()}`, undefined, 404],
      [visitor(), 'GET', `/jobs/${encodeURIComponent(SQL)}`, undefined, 404],
      [visitor(), 'GET', '/jobs/%00', undefined, 404],
      [visitor(), 'GET', '/jobs/%ff', undefined, 400],
      [visitor(), 'POST', '/jobs', JOB, 401],
      [seeker, 'POST', '/jobs', JOB, 403],
      [employer, 'POST', '/jobs', { ...JOB, payTo: 1_000 }, 422],
      [employer, 'POST', '/jobs', { ...JOB, payFrom: '20000' }, 422],
      [employer, 'POST', '/jobs', { ...JOB, island: HTML }, 422],
      [employer, 'POST', '/jobs', { ...JOB, companyId: randomUUID() }, 422],
      [stranger.employer, 'PATCH', `/jobs/${job.id}`, { status: 'closed' }, 404],
      [employer, 'PATCH', `/jobs/${job.id}`, { status: 'deleted' }, 422],
      [seeker, 'PATCH', `/jobs/${job.id}`, { status: 'closed' }, 403],
      [seeker, 'GET', '/employer/jobs', undefined, 403],
      [visitor(), 'GET', `/employer/jobs/${job.id}/applications`, undefined, 401],
      [visitor(), 'POST', '/uploads', { name: 'a.pdf', size: 10, type: 'application/pdf' }, 401],
      [employer, 'POST', '/uploads', { name: 'a.pdf', size: 10, type: 'application/pdf' }, 403],
      [seeker, 'POST', '/uploads', { name: 'a.svg', size: 10, type: 'image/svg+xml' }, 422],
      [seeker, 'POST', '/uploads', { name: 'a.pdf', size: 1e12, type: 'application/pdf' }, 422],
      [seeker, 'POST', '/uploads', { name: 'a.pdf', size: -1, type: 'application/pdf' }, 422],
      [
        stranger.seeker,
        'POST',
        `/jobs/${job.id}/applications`,
        { uploadToken: 'forged.token', note: '' },
        422,
      ],
      [
        stranger.seeker,
        'POST',
        `/jobs/${job.id}/applications`,
        { uploadToken: await seeker.upload(pdf(50)), note: '' },
        422,
      ],
      [employer, 'POST', `/jobs/${job.id}/applications`, { uploadToken: 'x', note: '' }, 403],
      [employer, 'GET', '/applications', undefined, 403],
      [stranger.employer, 'PATCH', `/applications/${id}`, { status: 'offer', version: 1 }, 404],
      [employer, 'PATCH', `/applications/${id}`, { status: 'hired', version: 1 }, 422],
      [employer, 'PATCH', `/applications/${id}`, { status: 'offer', version: 99 }, 409],
      [employer, 'PATCH', `/applications/${id}`, { status: 'offer', version: '1' }, 422],
      [stranger.seeker, 'GET', `/applications/${id}/resume`, undefined, 404],
      [stranger.employer, 'GET', `/applications/${id}/resume`, undefined, 404],
      [visitor(), 'GET', '/notifications', undefined, 401],
      [visitor(), 'POST', '/notifications/read', undefined, 401],
      [seeker, 'POST', '/demo/format-the-disk', undefined, 404],
      [visitor(), 'GET', '/nothing-here', undefined, 404],
    ]
    for (const [who, method, path, body, status] of attempts) {
      const answer = await who.request(
        method,
        `${api}${path}`,
        typeof body === 'string' ? { raw: body } : { body },
      )
      const text = await answer.text()
      expect([method, path, answer.status, text]).toEqual([method, path, status, expect.any(String)])
      expect(answer.headers.get('content-type')).toContain('application/problem+json')
      const problem = JSON.parse(text) as Problem
      expect(problem).toMatchObject({
        status,
        type: expect.stringMatching(/^\/problems\//),
        title: expect.any(String),
      })
      expect(text).not.toMatch(/drop table|<script>|at .*\.ts:|password_hash/)
    }
    expect(await counts()).toEqual(before)
  }, 60_000)

  it('keeps HTML and SQL in fields as the text they are', async () => {
    const { employer } = await pair()
    const job = await employer.postJob({ title: HTML, description: `${SQL} ${HTML} and a decent kitchen.` })
    const { job: shown } = await visitor().call<JobDetail>('GET', `/jobs/${job.id}`)
    expect(shown).toMatchObject({ title: HTML, description: `${SQL} ${HTML} and a decent kitchen.` })
  })

  it('does not let another site write with a visitor’s cookie', async () => {
    const { employer } = await pair()
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
    ]) {
      const answer = await employer.request('POST', '/api/v1/jobs', {
        body: JOB,
        headers: headers as Record<string, string>,
      })
      expect(answer.status).toBe(403)
    }
  })

  it('is refused when an upload is not the PDF it claims to be', async () => {
    const { employer, seeker } = await pair()
    const job = await employer.postJob()
    const uploadToken = await seeker.upload(Buffer.from(`<html>${HTML}</html>`))
    const answer = await seeker.request('POST', `/api/v1/jobs/${job.id}/applications`, {
      body: { uploadToken, note: '' },
    })
    expect(answer.status).toBe(422)
    expect(await answer.json()).toMatchObject({
      type: '/problems/refused',
      detail: expect.stringMatching(/^This file is called a PDF, but .* A résumé is a PDF of up to 20 MB\.$/),
    })
  })
})

describe('a refused file', () => {
  it('says in a sentence what was wrong with it and what is accepted', async () => {
    const { employer, seeker } = await pair()
    const job = await employer.postJob()
    const apply = async (uploadToken: string) => {
      const answer = await seeker.request('POST', `/api/v1/jobs/${job.id}/applications`, {
        body: { uploadToken, note: '' },
      })
      return { status: answer.status, detail: ((await answer.json()) as Problem).detail }
    }
    const { token } = await seeker.call<{ readonly token: string }>('POST', '/uploads', {
      name: 'never-sent.pdf',
      size: 500,
      type: 'application/pdf',
    })
    expect(await apply(token)).toEqual({
      status: 422,
      detail: 'The file has not arrived, or only a part of it. Please add the file again.',
    })
    expect(await apply('forged.token')).toEqual({
      status: 422,
      detail: 'This upload is not yours, or not for a résumé. Please add the file again.',
    })
    const large = await seeker.request('POST', '/api/v1/uploads', {
      body: { name: 'large.pdf', size: 21 * 2 ** 20, type: 'application/pdf' },
    })
    expect(((await large.json()) as Problem).errors?.size).toBe('A résumé may have at most 20 MB.')
  })
})

describe('limits', () => {
  it('answer a flood with 429, Retry-After and a problem document, and let others through', async () => {
    const flooder = visitor()
    await flooder.signUp('seeker')
    const other = visitor()
    await other.signUp('seeker')
    const answers = await Promise.all(
      Array.from({ length: 120 }, () =>
        flooder.request('POST', '/api/v1/notifications/read', { hasty: true }),
      ),
    )
    const denied = answers.filter((answer) => answer.status === 429)
    expect(denied.length).toBeGreaterThan(20)
    expect(answers.every((answer) => answer.status === 204 || answer.status === 429)).toBe(true)
    expect(Number(denied[0]?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(denied[0]?.headers.get('ratelimit')).toContain('"write"')
    expect(await denied[0]?.json()).toMatchObject({ type: '/problems/too-many-requests', status: 429 })
    expect((await other.request('POST', '/api/v1/notifications/read')).status).toBe(204)
  })
})

describe('the running system', () => {
  it('shows both nodes, every database and what recent requests touched', async () => {
    await visitor().call('GET', '/jobs')
    const status = await visitor().call<SystemStatus>('GET', '/status')
    expect(status.nodes.map((node) => node.name)).toEqual(['node-1', 'node-2'])
    for (const node of status.nodes) {
      expect(node).toMatchObject({ state: 'ready', redis: 'up', bucket: 'up' })
      expect(node.databases.map(({ name, role }) => `${name} ${role}`)).toEqual([
        'db-1 primary',
        'db-2 replica',
        'db-3 replica',
      ])
    }
    expect(
      status.nodes
        .flatMap((node) => node.recent)
        .some((trace) => trace.databases.some((name) => name !== 'db-1')),
    ).toBe(true)
    expect(JSON.stringify(status)).not.toMatch(/@harbour\.example/)
    expect(status.actions.map((action) => action.name)).toContain('kill-replica')
  })

  it('answers liveness without touching anything', async () => {
    const answer = await fetch(`${stack.url}/health/live`)
    expect(await answer.json()).toEqual({ status: 'live' })
  })
})
