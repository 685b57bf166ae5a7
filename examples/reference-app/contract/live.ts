import type { MyApplication, Notification, ReceivedApplication } from './application.ts'

/**
 * What travels over the socket. Every account has a room of its own, `account:{id}`, that only it may join;
 * a message there says that something changed elsewhere and carries the new state.
 */
export interface AccountEvents {
  /** To the employer: somebody applied, or a colleague's tab moved an application. */
  readonly 'application-received': ReceivedApplication
  readonly 'application-moved': ReceivedApplication
  /** To the applicant: the employer changed the status. */
  readonly 'application-status': MyApplication
  readonly notification: Notification
}

export const ACCOUNT_ROOM = 'account:{id}'
/** Public, ephemeral: the live picture of the running system for `/status`, about once a second. */
export const STATUS_ROOM = 'status'
