import type { Job, JobSummary } from '../../contract/job.ts'
import type { EmploymentType, Island, Trade } from '../../contract/job-words.ts'

/** A job as the database answers it. */
export interface JobRow {
  readonly id: string
  readonly title: string
  readonly company: string
  readonly island: Island
  readonly place: string
  readonly trade: Trade
  readonly type: EmploymentType
  readonly remote: boolean
  readonly pay_from: number
  readonly pay_to: number
  readonly status: 'open' | 'closed'
  /** As text, with the microseconds that a JavaScript date would drop and a cursor needs. */
  readonly posted: string
}

export interface JobDetailRow extends JobRow {
  readonly company_id: string
  readonly description: string
  readonly closes_at: Date | null
}

export const POSTED = `to_char(posted_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as posted`
export const SUMMARY_COLUMNS = `id, title, company, island, place, trade, type, remote, pay_from, pay_to, status, ${POSTED}`
export const DETAIL_COLUMNS = `${SUMMARY_COLUMNS}, company_id, description, closes_at`

export function summaryOf(row: JobRow): JobSummary {
  return {
    id: row.id,
    title: row.title,
    company: row.company,
    island: row.island,
    place: row.place,
    trade: row.trade,
    type: row.type,
    remote: row.remote,
    payFrom: row.pay_from,
    payTo: row.pay_to,
    postedAt: row.posted,
    status: row.status,
  }
}

export function jobOf(row: JobDetailRow): Job {
  return { ...summaryOf(row), description: row.description, closesAt: row.closes_at?.toISOString() ?? null }
}
