import type { Pool } from 'pg'

/** Whatever runs one statement: the router, its primary, or a transaction. */
export type Queryable = Pick<Pool, 'query'>
