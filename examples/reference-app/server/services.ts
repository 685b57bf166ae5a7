import type { Router as Database } from '@cays/db-router'
import type { Passwords } from './auth/passwords.ts'
import type { Sessions } from './auth/sessions.ts'
import type { Config } from './config.ts'
import type { Readiness } from './http/health.ts'
import type { JobPages } from './job-pages.ts'
import type { Limits } from './limits.ts'
import type { Live } from './live.ts'
import type { Resumes } from './resumes.ts'
import type { SystemStatusSource } from './status/system-status.ts'

/** Everything a route may use; built once per node. */
export interface Services {
  readonly config: Config
  readonly db: Database
  readonly jobPages: JobPages
  readonly sessions: Sessions
  readonly passwords: Passwords
  readonly live: Live
  readonly resumes: Resumes
  readonly limits: Limits
  readonly status: SystemStatusSource
  readonly readiness: Readiness
}
