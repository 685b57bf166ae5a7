import type { Pool } from 'pg'
import { seedApplications } from './seed-applications.ts'
import {
  COMPANY_FIRST,
  COMPANY_LAST,
  FIRST_NAMES,
  LAST_NAMES,
  OCCUPATIONS,
  PLACES,
} from './seed-vocabulary.ts'

export const SEED_SIZES = {
  tiny: { companies: 24, jobs: 240 },
  '10k': { companies: 400, jobs: 10_000 },
} as const
export type SeedSize = keyof typeof SEED_SIZES

/** Two accounts for visitors of the demo; their password is shown on its sign-in page. */
export const DEMO_ACCOUNTS = {
  seeker: { email: 'seeker@harbour.example', name: 'Portia Rolle' },
  employer: { email: 'employer@harbour.example', name: 'Devon Albury' },
} as const

export interface SeedOptions {
  readonly size: SeedSize
  /** Hash of the password that both demo accounts share. */
  readonly passwordHash: string
  /** The newest job's date; jobs go back ninety days from it. */
  readonly now: Date
}

/**
 * Fills an empty database: the same size gives the same companies, jobs, applications and ids every time. Does nothing
 * when there are jobs already, so that a restart keeps what visitors did.
 */
export async function seed(primary: Pool, options: SeedOptions): Promise<{ readonly seeded: boolean }> {
  const { rows } = await primary.query<{ filled: boolean }>('select exists (select from jobs) as filled')
  if (rows[0]?.filled) return { seeded: false }
  const random = seededRandom(20_261_122)
  const size = SEED_SIZES[options.size]
  const companies = Array.from({ length: size.companies }, (_, index) => ({
    id: uuid(random),
    name: companyName(index),
  }))
  const seeker = { id: uuid(random), ...DEMO_ACCOUNTS.seeker }
  const employer = { id: uuid(random), ...DEMO_ACCOUNTS.employer, companyId: companies[0]?.id ?? '' }
  const client = await primary.connect()
  try {
    await client.query('begin')
    await client.query('insert into companies (id, name) select * from unnest($1::uuid[], $2::text[])', [
      companies.map((company) => company.id),
      companies.map((company) => company.name),
    ])
    await client.query(
      `insert into accounts (id, email, password_hash, name, role, company_id)
       values ($1, $2, $3, $4, 'seeker', null), ($5, $6, $3, $7, 'employer', $8)`,
      [
        seeker.id,
        seeker.email,
        options.passwordHash,
        seeker.name,
        employer.id,
        employer.email,
        employer.name,
        employer.companyId,
      ],
    )
    for (let done = 0; done < size.jobs; done += 1_000) {
      const jobs = Array.from({ length: Math.min(1_000, size.jobs - done) }, (_, index) =>
        job(random, companies, (done + index) / size.jobs, options.now),
      )
      await client.query(
        `insert into jobs (id, company_id, company, title, description, island, place, trade, type, remote, pay_from, pay_to, status, posted_at)
         select * from jsonb_to_recordset($1) as job(id uuid, company_id uuid, company text, title text, description text, island text,
           place text, trade text, type text, remote boolean, pay_from int, pay_to int, status text, posted_at timestamptz)`,
        [JSON.stringify(jobs)],
      )
    }
    const { passwordHash, now } = options
    await seedApplications(client, { seeker, employer, passwordHash, now, nextId: () => uuid(random) })
    await client.query('commit')
    await client.query('analyze')
    return { seeded: true }
  } finally {
    client.release(true)
  }
}

interface Company {
  readonly id: string
  readonly name: string
}

function job(random: () => number, companies: readonly Company[], age: number, now: Date) {
  // A heavy tail: a few companies and the big islands have most of the jobs.
  const company = pick(companies, random() ** 2.2)
  const { island, places } = pick(PLACES, random() ** 1.8)
  const place = pick(places, random() ** 1.5)
  const occupation = pick(OCCUPATIONS, random())
  const title = pick(occupation.titles, random())
  const [low, high] = occupation.pay
  const payFrom = Math.round((low + random() ** 1.6 * (high - low) * 0.7) / 500) * 500
  const first = Math.floor(random() * occupation.duties.length)
  const duty = (offset: number) => occupation.duties[(first + offset) % occupation.duties.length] ?? ''
  const ask = (offset: number) => occupation.asks[(first + offset) % occupation.asks.length] ?? ''
  return {
    id: uuid(random),
    company_id: company.id,
    company: company.name,
    title,
    description:
      `${company.name} is looking for a ${title.toLowerCase()} in ${place}, ${island}.\n\n` +
      `In this job you ${duty(0)}, and you ${duty(1)}. In the season you also ${duty(2)}.\n\n` +
      `You bring ${ask(0)}, ${ask(1)}, and ${ask(2)}. We reply to every application within ten days.`,
    island,
    place,
    trade: occupation.trade,
    type: pick(occupation.types, random() ** 1.7),
    remote: occupation.remote === true && random() < 0.4,
    pay_from: payFrom,
    pay_to: payFrom + Math.round((payFrom * (0.1 + random() * 0.35)) / 500) * 500,
    status: random() < 0.08 ? 'closed' : 'open',
    posted_at: new Date(now.getTime() - (age * 90 + random() * 0.02) * 86_400_000).toISOString(),
  }
}

function companyName(index: number): string {
  const first = COMPANY_FIRST[index % COMPANY_FIRST.length]
  const last = COMPANY_LAST[(index * 7 + Math.floor(index / COMPANY_FIRST.length)) % COMPANY_LAST.length]
  // Beyond all pairs of words the families of the islands lend their names.
  const round = Math.floor(index / (COMPANY_FIRST.length * COMPANY_LAST.length))
  const family =
    round > 0
      ? `${LAST_NAMES[(index + round) % LAST_NAMES.length]} & ${FIRST_NAMES[index % FIRST_NAMES.length]} `
      : ''
  return `${family}${first} ${last}`
}

function pick<T>(items: readonly T[], at: number): T {
  const item = items[Math.min(items.length - 1, Math.floor(at * items.length))]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}

/** mulberry32: 32 bits of state are plenty for a demo's data, and every platform draws the same. */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

function uuid(random: () => number): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
}
