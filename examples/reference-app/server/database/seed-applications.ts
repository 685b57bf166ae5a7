import type { Pool, PoolClient } from 'pg'
import { APPLICATION_STATUSES, type ApplicationStatus } from '../../contract/application.ts'
import { movedMessage, receivedMessage } from '../domain/notifications.ts'
import { FIRST_NAMES, LAST_NAMES, NOTES } from './seed-vocabulary.ts'

/** The accounts that visitors of the demo sign in with. */
export interface DemoAccount {
  readonly id: string
  readonly name: string
}

export interface SeedApplicationsOptions {
  readonly seeker: DemoAccount
  readonly employer: DemoAccount & { readonly companyId: string }
  readonly passwordHash: string
  readonly now: Date
  /** The next id, the same one every time the seed runs. */
  readonly nextId: () => string
}

/** How many applications to each of the employer's jobs got how far; the first job is the board worth opening. */
const BOARDS: readonly Readonly<Partial<Record<ApplicationStatus, number>>>[] = [
  { new: 4, reviewing: 3, interview: 2, offer: 1, closed: 2 },
  { new: 2, reviewing: 1, interview: 1 },
  { reviewing: 1, offer: 1, closed: 1 },
]
const APPLICANTS = 16
/** What the seeker sent elsewhere, the newest first; one more is on the employer's first board. */
const SENT: readonly ApplicationStatus[] = ['new', 'reviewing', 'offer', 'closed']
const SENT_HERE: ApplicationStatus = 'interview'
/** Notifications older than the newest of them have been read. */
const UNREAD = 2

interface JobRow {
  readonly id: string
  readonly title: string
  readonly company: string
  readonly posted_at: Date
}

interface SeededApplication {
  readonly id: string
  readonly job: JobRow
  readonly applicant: DemoAccount
  readonly status: ApplicationStatus
  readonly note: string
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** Gives the demo's employer a board to move about on, and its seeker something to follow. */
export async function seedApplications(client: PoolClient, options: SeedApplicationsOptions): Promise<void> {
  const { seeker, employer, now, nextId } = options
  const received = await client.query<JobRow>(
    `select id, title, company, posted_at from jobs
     where company_id = $1 and status = 'open' and posted_at < $2 order by posted_at desc, id limit $3`,
    [employer.companyId, before(now, 2), BOARDS.length],
  )
  const elsewhere = await client.query<JobRow>(
    `select id, title, company, posted_at from (
       select distinct on (company_id) * from jobs
       where company_id <> $1 and status = 'open' and posted_at < $2 order by company_id, posted_at desc
     ) as newest order by posted_at desc, id limit $3`,
    [employer.companyId, before(now, 4), SENT.length],
  )

  const applicants = Array.from({ length: APPLICANTS }, (_, index) => ({ id: nextId(), name: nameOf(index) }))
  const applications: SeededApplication[] = []
  const add = (job: JobRow | undefined, applicant: DemoAccount | undefined, status: ApplicationStatus) => {
    if (!job || !applicant) return
    // Whoever got further came earlier: spread between the day of the posting and now.
    const open = now.getTime() - job.posted_at.getTime()
    const far = APPLICATION_STATUSES.indexOf(status) / APPLICATION_STATUSES.length
    const late = Math.min(0.96, 0.9 - far * 0.8 + (applications.length % 7) * 0.02)
    const createdAt = new Date(job.posted_at.getTime() + open * late)
    applications.push({
      id: nextId(),
      job,
      applicant,
      status,
      note: NOTES[applications.length % NOTES.length] ?? '',
      createdAt,
      updatedAt: status === 'new' ? createdAt : new Date(createdAt.getTime() + (open * (1 - late)) / 2),
    })
  }
  add(received.rows[0], seeker, SENT_HERE)
  let next = 0
  BOARDS.forEach((board, index) => {
    for (const status of APPLICATION_STATUSES) {
      for (let count = board[status] ?? 0; count > 0; count--)
        add(received.rows[index], applicants[next++ % APPLICANTS], status)
    }
  })
  SENT.forEach((status, index) => {
    add(elsewhere.rows[index], seeker, status)
  })

  await client.query(
    `insert into accounts (id, email, password_hash, name, role)
     select id, email, $2, name, 'seeker' from jsonb_to_recordset($1) as row(id uuid, email text, name text)`,
    [
      JSON.stringify(
        applicants.map(({ id, name }) => ({
          id,
          name,
          email: `${name.toLowerCase().replace(' ', '.')}@applicant.example`,
        })),
      ),
      options.passwordHash,
    ],
  )
  await client.query(
    `insert into applications (id, job_id, applicant_id, status, version, note, resume_key, resume_name, created_at, updated_at)
     select * from jsonb_to_recordset($1) as row(id uuid, job_id uuid, applicant_id uuid, status text, version int,
       note text, resume_key text, resume_name text, created_at timestamptz, updated_at timestamptz)`,
    [
      JSON.stringify(
        applications.map(({ id, job, applicant, status, note, createdAt, updatedAt }) => ({
          id,
          job_id: job.id,
          applicant_id: applicant.id,
          status,
          version: APPLICATION_STATUSES.indexOf(status) + 1,
          note,
          resume_key: `seed/${applicant.id}.pdf`,
          resume_name: `${applicant.name}.pdf`,
          created_at: createdAt,
          updated_at: updatedAt,
        })),
      ),
    ],
  )
  await notify(
    client,
    nextId,
    applications.flatMap(({ job, applicant, status, createdAt, updatedAt }) => {
      if (applicant === seeker && status !== 'new')
        return [{ account: seeker, at: updatedAt, ...movedMessage(status, job) }]
      if (job.company === received.rows[0]?.company && status === 'new')
        return [{ account: employer, at: createdAt, ...receivedMessage(applicant.name, job) }]
      return []
    }),
  )
}

interface SeededNotification {
  readonly account: DemoAccount
  readonly at: Date
  readonly kind: string
  readonly text: string
  readonly href: string
}

async function notify(
  client: PoolClient,
  nextId: () => string,
  notifications: readonly SeededNotification[],
): Promise<void> {
  const newestFirst = [...notifications].sort((a, b) => b.at.getTime() - a.at.getTime())
  await client.query(
    `insert into notifications (id, account_id, kind, text, href, created_at, read_at)
     select * from jsonb_to_recordset($1) as row(id uuid, account_id uuid, kind text, text text, href text,
       created_at timestamptz, read_at timestamptz)`,
    [
      JSON.stringify(
        newestFirst.map(({ account, at, kind, text, href }, index) => {
          const newer = newestFirst.slice(0, index).filter((other) => other.account === account).length
          return {
            id: nextId(),
            account_id: account.id,
            kind,
            text,
            href,
            created_at: at,
            read_at: newer < UNREAD ? null : at,
          }
        }),
      ),
    ],
  )
}

/** The résumés that seeded applications name, for whoever fills the bucket. */
export async function seededResumes(
  db: Pool,
): Promise<{ readonly key: string; readonly name: string; readonly note: string }[]> {
  const { rows } = await db.query<{ key: string; name: string; note: string }>(
    `select distinct on (resume_key) resume_key as key, accounts.name, note
     from applications join accounts on accounts.id = applicant_id
     where resume_key like 'seed/%' order by resume_key, applications.created_at`,
  )
  return rows
}

/** Made-up people: no first and no last name occurs twice. */
function nameOf(index: number): string {
  return `${FIRST_NAMES[(index * 5 + 1) % FIRST_NAMES.length]} ${LAST_NAMES[(index * 3 + 1) % LAST_NAMES.length]}`
}

function before(now: Date, days: number): Date {
  return new Date(now.getTime() - days * 86_400_000)
}
