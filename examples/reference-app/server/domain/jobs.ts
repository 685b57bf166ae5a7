import type { EmployerJob, Job, JobSummary, PostJob } from '../../contract/job.ts'
import type { Queryable } from '../database/queryable.ts'
import {
  DETAIL_COLUMNS,
  type JobDetailRow,
  type JobRow,
  jobOf,
  SUMMARY_COLUMNS,
  summaryOf,
} from './job-rows.ts'

export interface JobWithSimilar {
  readonly job: Job
  readonly similar: readonly JobSummary[]
}

/** The page of one job, the same for every visitor; `undefined` when there is none. */
export async function jobWithSimilar(db: Queryable, id: string): Promise<JobWithSimilar | undefined> {
  const { rows } = await db.query<JobDetailRow>(`select ${DETAIL_COLUMNS} from jobs where id = $1`, [id])
  const row = rows[0]
  if (!row) return undefined
  const similar = await db.query<JobRow>(
    `select ${SUMMARY_COLUMNS} from jobs where status = 'open' and trade = $1 and id <> $2
     order by (island = $3) desc, posted_at desc limit 4`,
    [row.trade, row.id, row.island],
  )
  return { job: jobOf(row), similar: similar.rows.map(summaryOf) }
}

export async function postJob(
  db: Queryable,
  employer: { readonly companyId: string; readonly company: string },
  job: PostJob,
): Promise<Job> {
  const { rows } = await db.query<JobDetailRow>(
    `insert into jobs (company_id, company, title, description, island, place, trade, type, remote, pay_from, pay_to)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning ${DETAIL_COLUMNS}`,
    [
      employer.companyId,
      employer.company,
      job.title,
      job.description,
      job.island,
      job.place,
      job.trade,
      job.type,
      job.remote,
      job.payFrom,
      job.payTo,
    ],
  )
  if (!rows[0]) throw new Error('an insert returned no row')
  return jobOf(rows[0])
}

/** Opens or closes a job of this company; `undefined` when it has no such job. */
export async function changeJobStatus(
  db: Queryable,
  companyId: string,
  id: string,
  status: Job['status'],
): Promise<Job | undefined> {
  const { rows } = await db.query<JobDetailRow>(
    `update jobs set status = $3 where id = $1 and company_id = $2 returning ${DETAIL_COLUMNS}`,
    [id, companyId, status],
  )
  return rows[0] && jobOf(rows[0])
}

export async function jobsOfCompany(db: Queryable, companyId: string): Promise<EmployerJob[]> {
  const { rows } = await db.query<JobRow & { applications: number; new_applications: number }>(
    `select ${SUMMARY_COLUMNS}, applications, new_applications from jobs
     cross join lateral (
       select count(*)::int as applications, (count(*) filter (where a.status = 'new'))::int as new_applications
       from applications a where a.job_id = jobs.id
     ) as received
     where company_id = $1 order by posted_at desc limit 200`,
    [companyId],
  )
  return rows.map((row) => ({
    ...summaryOf(row),
    applications: row.applications,
    newApplications: row.new_applications,
  }))
}
