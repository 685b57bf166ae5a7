import type { MyApplication, Notification, ReceivedApplication } from './application.ts'

/**
 * What reaches an account on all its open pages: something changed elsewhere, and here is the new state.
 * A type and not an interface, so that it also fits where any record of events does.
 */
export type AccountEvents = {
  /** To the employer: somebody applied, or a colleague or another tab moved an application. */
  readonly 'application-received': ReceivedApplication
  readonly 'application-moved': ReceivedApplication
  /** To the applicant: the employer changed the status. */
  readonly 'application-status': MyApplication
  readonly notification: Notification
}
