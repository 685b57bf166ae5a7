import { type OperationChannel, operationChannel, type PointChannel, pointChannel } from '@cays/core/tracing'

/** Loader runs; the outcome is `loaded` or `failed`. */
export const LOADS: OperationChannel = operationChannel(
  'cays:cache:load',
  'A loader run: duration, and `loaded` or `failed` as the outcome.',
)

export const READS: PointChannel = pointChannel(
  'cays:cache:read',
  'event',
  'A read by where it ended: `cache.result` is memory, redis, loaded, stale or failed.',
)

export const CHECKS: PointChannel = pointChannel(
  'cays:cache:check',
  'event',
  'A value in memory held against its source (`sync.check`): `cache.check` is same, changed (its invalidation came within the bound), stale (it did not) or unknown (the loader failed).',
)

export const WRITES: PointChannel = pointChannel(
  'cays:cache:write',
  'event',
  'A write by `cache.operation` (set, invalidate, expire, tags, clear) and `cache.reach` (fleet, queued).',
)

export const REDIS: PointChannel = pointChannel(
  'cays:cache:redis',
  'event',
  'Redis was given up (`cache.redis` = down) or is used again (up).',
)
