import type { Cache } from '@cays/cache'
import type { Router } from '@cays/db-router'
import type { Redis } from 'ioredis'
import type { JobPage, JobSearch } from '../contract/job.ts'
import type { Queryable } from './database/queryable.ts'
import { searchJobs } from './domain/job-search.ts'
import { type JobWithSimilar, jobWithSimilar } from './domain/jobs.ts'
import type { RedisGate } from './redis-gate.ts'

/** The pages that everyone looks at, cached in two tiers. */
export interface JobPages {
  list(search: JobSearch): Promise<JobPage>
  detail(id: string): Promise<JobWithSimilar | null>
  /** After a job was posted, opened or closed in the session of `bookmark`: no node shows the state before. */
  changed(id: string, bookmark: string): Promise<void>
}

const BOOKMARK = 'harbour:jobs:bookmark'

/**
 * A page loaded from a replica right after a change could be the state before it, cached for everyone. So a
 * change leaves its bookmark in Redis before it invalidates, and every load continues from the newest one:
 * the router then waits for a replica that has it, or asks the primary.
 */
export function createJobPages(
  cache: Cache,
  db: Router,
  redis: Redis | undefined,
  gate: RedisGate | undefined,
): JobPages {
  const reading = async <T>(read: (from: Queryable) => Promise<T>): Promise<T> => {
    if (!redis || !gate) return await read(db)
    const from = await gate.ask(() => redis.get(BOOKMARK)).catch(() => undefined)
    // Nobody can say what was changed elsewhere: only the primary certainly knows.
    if (from === undefined) return await read(db.primary)
    return from === null ? await read(db) : await db.session({ from }, () => read(db))
  }
  const pages = cache.define<JobSearch, JobPage>({
    name: 'jobs',
    key: canonical,
    load: (search) => reading((from) => searchJobs(from, search)),
    ttl: '30s',
    staleWhileRevalidate: '30s',
    grace: '10m',
    softTimeout: '300ms',
  })
  const details = cache.define<string, JobWithSimilar | null>({
    name: 'job',
    load: async (id) => (await reading((from) => jobWithSimilar(from, id))) ?? null,
    ttl: '1m',
    negativeTtl: '10s',
    grace: '10m',
    softTimeout: '300ms',
  })
  return {
    // What visitors type letter by letter would push the pages that everyone shares out of the cache.
    list: (search) => (search.q === undefined ? pages.get(search) : searchJobs(db, search)),
    detail: (id) => details.get(id),
    async changed(id, bookmark) {
      if (redis) await gate?.ask(() => redis.set(BOOKMARK, bookmark, 'PX', 30_000)).catch(() => {})
      await Promise.all([pages.clear(), details.invalidate(id)])
    },
  }
}

/** One key for all spellings of the same search. */
function canonical(search: JobSearch): readonly unknown[] {
  return Object.entries(search)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, Array.isArray(value) ? [...value].sort() : [value]])
    .sort()
}
