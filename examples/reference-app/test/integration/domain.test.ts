import { randomUUID } from 'node:crypto'
import { startPostgres } from '@cays/testkit'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { APPLICATION_STATUSES } from '../../contract/application.ts'
import { migrate } from '../../server/database/migrate.ts'
import { DEMO_ACCOUNTS, seed } from '../../server/database/seed.ts'
import { seededResumes } from '../../server/database/seed-applications.ts'
import { createAccount, credentialsByEmail, type KnownAccount } from '../../server/domain/accounts.ts'
import { applicationsBy, applicationsFor, apply, moveApplication } from '../../server/domain/applications.ts'
import { searchJobs } from '../../server/domain/job-search.ts'
import { changeJobStatus, jobsOfCompany, jobWithSimilar, postJob } from '../../server/domain/jobs.ts'
import {
  markNotificationsRead,
  notificationsOf,
  notifyAccount,
  notifyCompany,
} from '../../server/domain/notifications.ts'

const SEEDED_AT = new Date('2026-06-01T12:00:00Z')

let postgres: Awaited<ReturnType<typeof startPostgres>>
let db: pg.Pool

beforeAll(async () => {
  postgres = await startPostgres()
  db = new pg.Pool({ connectionString: postgres.primary.url, max: 10 })
  await Promise.all([migrate(db), migrate(db), migrate(db)])
  await seed(db, { size: '10k', passwordHash: 'hash', now: SEEDED_AT })
})
afterAll(async () => {
  await db.end()
  await postgres.close()
})

async function account(role: 'seeker' | 'employer'): Promise<KnownAccount> {
  const email = `${randomUUID()}@harbour.example`
  const created = await createAccount(
    db,
    {
      email,
      password: 'long enough',
      name: 'Simone Bethel',
      role,
      company: role === 'employer' ? 'Sea Grape Kitchens' : undefined,
    },
    'hash',
  )
  if (!created) throw new Error('the address is taken')
  return created
}

async function openJob(
  title = 'Pastry Chef',
): Promise<{ readonly employer: KnownAccount; readonly companyId: string; readonly jobId: string }> {
  const employer = await account('employer')
  const companyId = employer.companyId ?? ''
  const job = await postJob(
    db,
    { companyId, company: employer.company ?? '' },
    {
      title,
      description: 'Bake what the island wakes up for, every morning from four o’clock.',
      island: 'Exuma',
      place: 'George Town',
      trade: 'Hospitality',
      type: 'full-time',
      remote: false,
      payFrom: 30_000,
      payTo: 36_000,
    },
  )
  return { employer, companyId, jobId: job.id }
}

describe('seed', () => {
  it('fills once and leaves a filled database alone', async () => {
    const again = await seed(db, { size: '10k', passwordHash: 'hash', now: new Date() })
    expect(again.seeded).toBe(false)
    const { rows } = await db.query('select count(*)::int as jobs from jobs')
    expect(rows[0].jobs).toBeGreaterThanOrEqual(10_000)
    expect(await credentialsByEmail(db, DEMO_ACCOUNTS.employer.email)).toMatchObject({
      account: { role: 'employer' },
    })
  })
})

describe('seeded applications', () => {
  it('give the demo’s employer a board with every status, and the seeker one application there and some elsewhere', async () => {
    const [employer, seeker] = await Promise.all([
      credentialsByEmail(db, DEMO_ACCOUNTS.employer.email),
      credentialsByEmail(db, DEMO_ACCOUNTS.seeker.email),
    ])
    const companyId = employer?.account.companyId ?? ''
    const jobs = await jobsOfCompany(db, companyId)
    const [busiest] = jobs.toSorted((a, b) => b.applications - a.applications)
    const board = await applicationsFor(db, companyId, busiest?.id ?? '')
    expect(board.length).toBeGreaterThanOrEqual(12)
    expect(new Set(board.map(({ status }) => status))).toEqual(new Set(APPLICATION_STATUSES))
    expect(new Set(board.map(({ applicant }) => applicant.name)).size).toBe(board.length)
    const sent = await applicationsBy(db, seeker?.account.id ?? '')
    expect(sent.length).toBeGreaterThanOrEqual(4)
    expect(sent.filter(({ job }) => job.id === busiest?.id)).toHaveLength(1)
    for (const { createdAt, updatedAt, job } of sent) {
      expect(createdAt > job.postedAt && createdAt <= updatedAt).toBe(true)
      expect(updatedAt < SEEDED_AT.toISOString()).toBe(true)
    }
    const told = await notificationsOf(db, employer?.account.id ?? '')
    expect(told.filter(({ read }) => !read)).toHaveLength(2)
    expect(told.every(({ text }) => / applied for /.test(text))).toBe(true)
    expect(await notificationsOf(db, seeker?.account.id ?? '')).not.toEqual([])
  })

  it('are the same in every database, each with a résumé to put in the bucket', async () => {
    const fill = async (name: string) => {
      await db.query(`create database ${name}`)
      const pool = new pg.Pool({
        connectionString: postgres.primary.url.replace(/\/\w+$/, `/${name}`),
        max: 2,
      })
      try {
        await migrate(pool)
        await seed(pool, { size: 'tiny', passwordHash: 'hash', now: SEEDED_AT })
        const { rows } = await pool.query('select * from applications order by id')
        return { rows, resumes: await seededResumes(pool) }
      } finally {
        await pool.end()
      }
    }
    const [first, second] = [await fill('first'), await fill('second')]
    expect(first.rows.length).toBeGreaterThan(20)
    expect(second).toEqual(first)
    const keys = first.resumes.map(({ key }) => key)
    expect(new Set(keys)).toEqual(new Set(first.rows.map((row) => row.resume_key)))
  })
})

describe('search', () => {
  it('pages through all open jobs, newest first, none twice and none missed', async () => {
    const filter = { island: 'Bimini' as const }
    const seen: string[] = []
    let cursor: string | undefined
    let previous = '9'
    do {
      const page = await searchJobs(db, { ...filter, ...(cursor ? { cursor } : {}) })
      for (const job of page.items) {
        expect(job.postedAt <= previous).toBe(true)
        previous = job.postedAt
        seen.push(job.id)
      }
      cursor = page.nextCursor ?? undefined
    } while (cursor)
    const { rows } = await db.query(
      `select count(*)::int as jobs from jobs where status = 'open' and island = 'Bimini'`,
    )
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toHaveLength(rows[0].jobs)
  })

  it('finds by a word, by its beginning, and by several words', async () => {
    const { jobId } = await openJob('Sargassum Harvester')
    for (const q of ['sargassum', 'sargas', 'harvester sargassum', 'Sargassum exuma']) {
      expect((await searchJobs(db, { q })).items.map((job) => job.id)).toContain(jobId)
    }
    expect(await searchJobs(db, { q: 'sargassum nassau' })).toMatchObject({
      items: [],
      count: 0,
      capped: false,
      nextCursor: null,
    })
  })

  it('caps the count and says so', async () => {
    expect(await searchJobs(db, {})).toMatchObject({ count: 1_000, capped: true })
    const rare = await searchJobs(db, { q: 'sargassum' })
    expect(rare.count).toBe(rare.items.length)
  })

  it('gives the same hits by the text index and by the date index', async () => {
    for (const q of ['nurse', 'engineer', 'nassau chef']) {
      const expected = await db.query(
        `select id from jobs where status = 'open' and search @@ to_tsquery('english', $1) order by posted_at desc, id desc limit 20`,
        [q.replace(' ', ' & ')],
      )
      const page = await searchJobs(db, { q })
      expect(page.items.map((job) => job.id)).toEqual(expected.rows.map((row) => row.id))
    }
  })

  it('combines filters', async () => {
    const page = await searchJobs(db, {
      island: ['Abaco', 'Exuma'],
      trade: 'Marine',
      type: ['full-time'],
      payMin: 50_000,
      remote: 'false',
    })
    expect(page.items.length).toBeGreaterThan(0)
    for (const job of page.items) {
      expect(['Abaco', 'Exuma']).toContain(job.island)
      expect(job).toMatchObject({ trade: 'Marine', type: 'full-time', remote: false })
      expect(job.payTo).toBeGreaterThanOrEqual(50_000)
    }
  })

  it('starts over at a cursor that is none of ours', async () => {
    const first = await searchJobs(db, { island: 'Abaco' })
    for (const cursor of ['x', Buffer.from(`2026-01-01T00:00:00.000000Z ' or true`).toString('base64url')]) {
      expect((await searchJobs(db, { island: 'Abaco', cursor })).items).toEqual(first.items)
    }
  })
})

describe('jobs', () => {
  it('shows a job with similar ones and without itself', async () => {
    const { jobId } = await openJob()
    const found = await jobWithSimilar(db, jobId)
    expect(found?.job).toMatchObject({ id: jobId, status: 'open', company: 'Sea Grape Kitchens' })
    expect(found?.similar.length).toBeGreaterThan(0)
    expect(found?.similar.map((job) => job.id)).not.toContain(jobId)
  })

  it('is closed by its own company alone', async () => {
    const { jobId, companyId } = await openJob()
    const other = await account('employer')
    expect(await changeJobStatus(db, other.companyId ?? '', jobId, 'closed')).toBeUndefined()
    expect(await changeJobStatus(db, companyId, jobId, 'closed')).toMatchObject({ status: 'closed' })
  })
})

describe('accounts', () => {
  it('gives an address to one of twenty that race for it', async () => {
    const email = `${randomUUID()}@harbour.example`
    const signUp = { email, password: 'long enough', name: 'A', role: 'employer', company: 'Racers' } as const
    const created = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await db.connect()
        try {
          await client.query('begin')
          const made = await createAccount(client, signUp, 'hash')
          await client.query(made ? 'commit' : 'rollback')
          return made
        } finally {
          client.release()
        }
      }),
    )
    expect(created.filter(Boolean)).toHaveLength(1)
    const { rows } = await db.query(`select count(*)::int as n from companies where name = 'Racers'`)
    expect(rows[0].n).toBe(1)
  })
})

describe('applications', () => {
  const resume = { note: 'I bake.', resumeKey: 'resumes/x.pdf', resumeName: 'x.pdf' }

  it('are one per seeker and job, however often and however fast one clicks', async () => {
    const { jobId, companyId } = await openJob()
    const seeker = await account('seeker')
    const tries = await Promise.all(
      Array.from({ length: 20 }, () => apply(db, { jobId, applicantId: seeker.id, ...resume })),
    )
    expect(tries.filter((attempt) => attempt?.created)).toHaveLength(1)
    expect(new Set(tries.map((attempt) => attempt?.record.mine.id)).size).toBe(1)
    expect(await applicationsFor(db, companyId, jobId)).toHaveLength(1)
    expect(await applicationsBy(db, seeker.id)).toMatchObject([{ status: 'new', job: { id: jobId } }])
    expect((await jobsOfCompany(db, companyId))[0]).toMatchObject({
      id: jobId,
      applications: 1,
      newApplications: 1,
    })
  })

  it('are not possible for a closed or unknown job', async () => {
    const { jobId, companyId } = await openJob()
    const seeker = await account('seeker')
    await changeJobStatus(db, companyId, jobId, 'closed')
    expect(await apply(db, { jobId, applicantId: seeker.id, ...resume })).toBeUndefined()
    expect(await apply(db, { jobId: randomUUID(), applicantId: seeker.id, ...resume })).toBeUndefined()
  })

  it('are moved by one of two who move them at once, and by no stranger', async () => {
    const { jobId, companyId } = await openJob()
    const seeker = await account('seeker')
    const applied = await apply(db, { jobId, applicantId: seeker.id, ...resume })
    const id = applied?.record.mine.id ?? ''
    const moves = await Promise.all(
      (['reviewing', 'interview'] as const).map((status) =>
        moveApplication(db, { id, companyId, status, version: 1 }),
      ),
    )
    expect(moves.filter((move) => move?.moved)).toHaveLength(1)
    expect(moves.every((move) => move?.record.mine.version === 2)).toBe(true)
    const stranger = await account('employer')
    expect(
      await moveApplication(db, { id, companyId: stranger.companyId ?? '', status: 'closed', version: 2 }),
    ).toBeUndefined()
    expect((await applicationsBy(db, seeker.id))[0]?.version).toBe(2)
  })
})

describe('notifications', () => {
  it('reach everyone of a company, newest first, until read', async () => {
    const { companyId, employer, jobId } = await openJob()
    const message = {
      kind: 'application-received',
      text: 'Somebody applied.',
      href: `/employer/jobs/${jobId}`,
    } as const
    expect([...(await notifyCompany(db, companyId, message)).keys()]).toEqual([employer.id])
    await notifyAccount(db, employer.id, { ...message, text: 'Another one.' })
    expect(await notificationsOf(db, employer.id)).toMatchObject([
      { text: 'Another one.', read: false },
      { text: 'Somebody applied.', read: false },
    ])
    await markNotificationsRead(db, employer.id)
    expect((await notificationsOf(db, employer.id)).every((notification) => notification.read)).toBe(true)
  })
})
