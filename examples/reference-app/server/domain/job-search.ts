import { COUNT_CAP, type JobPage, type JobSearch, type JobSummary, PAGE_SIZE } from '../../contract/job.ts'
import type { Queryable } from '../database/queryable.ts'
import { type JobRow, SUMMARY_COLUMNS, summaryOf } from './job-rows.ts'

/**
 * Searches open jobs, newest first.
 *
 * With a full-text word the planner would walk the date index and, for a word that nothing has, read the
 * whole table. So the search runs in two stages: a probe through the text index, stopped at the count cap,
 * says how many there are; few hits are then sorted, and only for many the date index is walked.
 */
export async function searchJobs(db: Queryable, search: JobSearch): Promise<JobPage> {
  const where = conditions(search)
  const matching = `select id, posted_at from jobs where ${where.sql} limit ${COUNT_CAP + 1}`
  const probe = await db.query<{ hits: number }>(
    `select count(*)::int as hits from (${matching}) as hit`,
    where.values,
  )
  const hits = probe.rows[0]?.hits ?? 0
  const few = hits <= COUNT_CAP && where.text
  const after = decodeCursor(search.cursor)
  const values = [...where.values]
  let page = ''
  if (after) {
    page = ` and (posted_at, id) < ($${values.length + 1}, $${values.length + 2})`
    values.push(after.postedAt, after.id)
  }
  const order = `order by posted_at desc, id desc limit ${PAGE_SIZE + 1}`
  const { rows } = await db.query<JobRow>(
    few
      ? `with hit as materialized (select * from jobs where ${where.sql})
         select ${SUMMARY_COLUMNS} from hit where true${page} ${order}`
      : `select ${SUMMARY_COLUMNS} from jobs where ${where.sql}${page} ${order}`,
    values,
  )
  const items = rows.slice(0, PAGE_SIZE).map(summaryOf)
  return {
    items,
    count: Math.min(hits, COUNT_CAP),
    capped: hits > COUNT_CAP,
    nextCursor: rows.length > PAGE_SIZE ? encodeCursor(items.at(-1)) : null,
  }
}

interface Conditions {
  readonly sql: string
  readonly values: unknown[]
  /** True when a full-text word takes part. */
  readonly text: boolean
}

function conditions(search: JobSearch): Conditions {
  const clauses = [`status = 'open'`]
  const values: unknown[] = []
  const add = (clause: (parameter: string) => string, value: unknown) => {
    values.push(value)
    clauses.push(clause(`$${values.length}`))
  }
  const words = textQuery(search.q)
  if (words) add((parameter) => `search @@ to_tsquery('english', ${parameter})`, words)
  if (search.island) add((parameter) => `island = any(${parameter}::text[])`, [search.island].flat())
  if (search.trade) add((parameter) => `trade = any(${parameter}::text[])`, [search.trade].flat())
  if (search.type) add((parameter) => `type = any(${parameter}::text[])`, [search.type].flat())
  if (search.remote) add((parameter) => `remote = ${parameter}::boolean`, search.remote)
  if (search.payMin !== undefined) add((parameter) => `pay_to >= ${parameter}::int`, search.payMin)
  return { sql: clauses.join(' and '), values, text: words !== undefined }
}

// Words that the English dictionary drops would make a query that matches nothing while one still types.
const STOP_WORDS = new Set('a an and are as at be by for from in is it of on or the to with'.split(' '))

/** Letters and digits only, so no text a user types can be operator or error; the last word also as a prefix. */
export function textQuery(text: string | undefined): string | undefined {
  const words = (text?.normalize('NFKC').match(/[\p{L}\p{N}]+/gu) ?? [])
    .slice(0, 8)
    .filter((word) => !STOP_WORDS.has(word.toLowerCase()))
  if (words.length === 0) return undefined
  return words.map((word, index) => (index === words.length - 1 ? `${word}:*` : word)).join(' & ')
}

function encodeCursor(last: JobSummary | undefined): string | null {
  if (!last) return null
  return Buffer.from(`${last.postedAt} ${last.id}`).toString('base64url')
}

const CURSOR = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/

/** A cursor that is none of ours starts from the beginning: a stale link is no reason for an error. */
function decodeCursor(
  cursor: string | undefined,
): { readonly postedAt: string; readonly id: string } | undefined {
  if (!cursor) return undefined
  const match = CURSOR.exec(Buffer.from(cursor, 'base64url').toString())
  return match?.[1] && match[2] ? { postedAt: match[1], id: match[2] } : undefined
}
