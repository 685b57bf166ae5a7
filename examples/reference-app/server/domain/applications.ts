import type { ApplicationStatus, MyApplication, ReceivedApplication } from '../../contract/application.ts'
import type { Queryable } from '../database/queryable.ts'
import { type JobRow, POSTED, summaryOf } from './job-rows.ts'

/** One application with everything both sides are shown of it. */
export interface ApplicationRecord {
  readonly mine: MyApplication
  readonly received: ReceivedApplication
  readonly companyId: string
  readonly resumeKey: string
}

interface ApplicationRow extends Omit<JobRow, 'id' | 'status'> {
  readonly id: string
  readonly status: ApplicationStatus
  readonly version: number
  readonly note: string
  readonly resume_key: string
  readonly resume_name: string
  readonly created_at: Date
  readonly updated_at: Date
  readonly job_id: string
  readonly job_status: 'open' | 'closed'
  readonly company_id: string
  readonly applicant_id: string
  readonly applicant_name: string
}

const SELECT = `select a.id, a.status, a.version, a.note, a.resume_key, a.resume_name, a.created_at, a.updated_at,
    a.applicant_id, p.name as applicant_name,
    j.id as job_id, j.status as job_status, j.company_id, j.title, j.company, j.island, j.place, j.trade, j.type, j.remote,
    j.pay_from, j.pay_to, ${POSTED.replace('posted_at', 'j.posted_at')}
  from applications a join jobs j on j.id = a.job_id join accounts p on p.id = a.applicant_id`

export interface NewApplication {
  readonly jobId: string
  readonly applicantId: string
  readonly note: string
  readonly resumeKey: string
  readonly resumeName: string
}

/**
 * Applies once: a second try of the same seeker for the same job answers the first application, unchanged.
 * `undefined` when the job does not exist or is closed.
 */
export async function apply(
  transaction: Queryable,
  application: NewApplication,
): Promise<{ readonly record: ApplicationRecord; readonly created: boolean } | undefined> {
  const { jobId, applicantId, note, resumeKey, resumeName } = application
  const { rows } = await transaction.query<{ id: string }>(
    `insert into applications (job_id, applicant_id, note, resume_key, resume_name)
     select id, $2, $3, $4, $5 from jobs where id = $1 and status = 'open' for share
     on conflict (job_id, applicant_id) do nothing returning id`,
    [jobId, applicantId, note, resumeKey, resumeName],
  )
  const record = await applicationOf(transaction, jobId, applicantId)
  return record && { record, created: rows.length > 0 }
}

export async function applicationOf(
  db: Queryable,
  jobId: string,
  applicantId: string,
): Promise<ApplicationRecord | undefined> {
  const { rows } = await db.query<ApplicationRow>(`${SELECT} where a.job_id = $1 and a.applicant_id = $2`, [
    jobId,
    applicantId,
  ])
  return rows[0] && recordOf(rows[0])
}

export async function applicationById(db: Queryable, id: string): Promise<ApplicationRecord | undefined> {
  const { rows } = await db.query<ApplicationRow>(`${SELECT} where a.id = $1`, [id])
  return rows[0] && recordOf(rows[0])
}

export async function applicationsBy(db: Queryable, applicantId: string): Promise<MyApplication[]> {
  const { rows } = await db.query<ApplicationRow>(
    `${SELECT} where a.applicant_id = $1 order by a.created_at desc limit 200`,
    [applicantId],
  )
  return rows.map((row) => recordOf(row).mine)
}

export async function applicationsFor(
  db: Queryable,
  companyId: string,
  jobId: string,
): Promise<ReceivedApplication[]> {
  const { rows } = await db.query<ApplicationRow>(
    `${SELECT} where a.job_id = $1 and j.company_id = $2 order by a.created_at desc limit 500`,
    [jobId, companyId],
  )
  return rows.map((row) => recordOf(row).received)
}

/**
 * Moves an application if nobody moved it since `version`; answers its state after, and whether this call
 * moved it. `undefined` when this company received no such application.
 */
export async function moveApplication(
  transaction: Queryable,
  move: {
    readonly id: string
    readonly companyId: string
    readonly status: ApplicationStatus
    readonly version: number
  },
): Promise<{ readonly record: ApplicationRecord; readonly moved: boolean } | undefined> {
  const { rowCount } = await transaction.query(
    `update applications a set status = $3, version = version + 1, updated_at = now()
     from jobs j where a.id = $1 and j.id = a.job_id and j.company_id = $2 and a.version = $4`,
    [move.id, move.companyId, move.status, move.version],
  )
  const record = await applicationById(transaction, move.id)
  return record?.companyId === move.companyId ? { record, moved: rowCount === 1 } : undefined
}

function recordOf(row: ApplicationRow): ApplicationRecord {
  const base = {
    id: row.id,
    status: row.status,
    version: row.version,
    note: row.note,
    resumeName: row.resume_name,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  }
  return {
    mine: { ...base, job: summaryOf({ ...row, id: row.job_id, status: row.job_status }) },
    received: { ...base, jobId: row.job_id, applicant: { id: row.applicant_id, name: row.applicant_name } },
    companyId: row.company_id,
    resumeKey: row.resume_key,
  }
}
