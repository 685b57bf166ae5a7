import type { ApplicationStatus, Notification } from '../../contract/application.ts'
import type { Queryable } from '../database/queryable.ts'

interface NotificationRow {
  readonly id: string
  readonly kind: Notification['kind']
  readonly text: string
  readonly href: string
  readonly created_at: Date
  readonly read_at: Date | null
}

type Message = Pick<Notification, 'kind' | 'text' | 'href'>

/** What a company is told when somebody applies. */
export function receivedMessage(
  applicant: string,
  job: { readonly id: string; readonly title: string },
): Message {
  return {
    kind: 'application-received',
    text: `${applicant} applied for ${job.title}.`,
    href: `/employer/jobs/${job.id}`,
  }
}

const MOVED: Readonly<Record<ApplicationStatus, string>> = {
  new: 'put back to the start',
  reviewing: 'is reading',
  interview: 'would like to talk about',
  offer: 'made an offer on',
  closed: 'closed',
}

/** What an applicant is told when their application moves. */
export function movedMessage(
  status: ApplicationStatus,
  job: { readonly title: string; readonly company: string },
): Message {
  return {
    kind: 'application-status',
    text: `${job.company} ${MOVED[status]} your application for ${job.title}.`,
    href: '/applications',
  }
}

/** To every account of the company that received something. */
export async function notifyCompany(
  transaction: Queryable,
  companyId: string,
  message: Message,
): Promise<ReadonlyMap<string, Notification>> {
  const { rows } = await transaction.query<NotificationRow & { account_id: string }>(
    `insert into notifications (account_id, kind, text, href)
     select id, $2, $3, $4 from accounts where company_id = $1 returning *`,
    [companyId, message.kind, message.text, message.href],
  )
  return new Map(rows.map((row) => [row.account_id, notificationOf(row)]))
}

export async function notifyAccount(
  transaction: Queryable,
  accountId: string,
  message: Message,
): Promise<Notification> {
  const { rows } = await transaction.query<NotificationRow>(
    'insert into notifications (account_id, kind, text, href) values ($1, $2, $3, $4) returning *',
    [accountId, message.kind, message.text, message.href],
  )
  if (!rows[0]) throw new Error('an insert returned no row')
  return notificationOf(rows[0])
}

export async function notificationsOf(db: Queryable, accountId: string): Promise<Notification[]> {
  const { rows } = await db.query<NotificationRow>(
    'select * from notifications where account_id = $1 order by created_at desc limit 50',
    [accountId],
  )
  return rows.map(notificationOf)
}

export async function markNotificationsRead(db: Queryable, accountId: string): Promise<void> {
  await db.query('update notifications set read_at = now() where account_id = $1 and read_at is null', [
    accountId,
  ])
}

function notificationOf(row: NotificationRow): Notification {
  return {
    id: row.id,
    kind: row.kind,
    text: row.text,
    href: row.href,
    createdAt: row.created_at.toISOString(),
    read: row.read_at !== null,
  }
}
