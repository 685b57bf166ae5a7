import type { R2Bucket } from './r2-bucket.ts'
import { nameOf } from './r2-bucket.ts'
import type { StoredObject } from './r2-records.ts'
import { S3Error } from './r2-s3-error.ts'

/** What a listing asks for. */
export interface ListQuery {
  readonly prefix: string
  readonly delimiter: string
  /** Exclusive: names up to and including this one are left out. */
  readonly after: string
  /** Whether `after` may be a common prefix of the page before, which then stands for all names under it. */
  readonly resumes: boolean
  readonly limit: number
}

/** One page of a listing. */
export interface ListPage {
  readonly objects: readonly StoredObject[]
  readonly prefixes: readonly string[]
  /** Last name or common prefix on this page when there is more. */
  readonly next: string | undefined
}

/** Lists a page. Common prefixes count as one entry each, and their content is skipped without being walked. */
export function listPage(bucket: R2Bucket, query: ListQuery): ListPage {
  const { names } = bucket
  const prefix = nameOf(query.prefix)
  const { delimiter, limit } = query
  const after = nameOf(query.after)
  const objects: StoredObject[] = []
  const prefixes: string[] = []
  if (limit === 0) return { objects, prefixes, next: undefined }
  const skips = query.resumes && delimiter !== '' && after.length > prefix.length && after.endsWith(delimiter)
  let index = skips ? names.firstBeyond(after) : names.firstAfter(after)
  index = Math.max(index, names.firstAtOrAfter(prefix))
  let last = ''
  for (;;) {
    const name = names.at(index)
    if (name === undefined || !name.startsWith(prefix)) return { objects, prefixes, next: undefined }
    if (objects.length + prefixes.length === limit) return { objects, prefixes, next: last }
    const cut = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length)
    if (cut === -1) {
      const object = bucket.find(name)
      if (object !== undefined) objects.push(object)
      last = name
      index += 1
    } else {
      last = name.slice(0, cut + delimiter.length)
      prefixes.push(last)
      index = names.firstBeyond(last)
    }
  }
}

/** A page size as S3 takes it: 0 to 1,000, more is cut to 1,000. */
export function pageSize(text: string | undefined): number {
  if (text === undefined || text === '') return 1000
  if (!/^\d{1,10}$/.test(text)) throw new S3Error('InvalidArgument', 'The page size must be a whole number.')
  return Math.min(Number(text), 1000)
}

/** An opaque token for the next page. */
export function continuationToken(next: string): string {
  return Buffer.from(`1:${next}`).toString('base64url')
}

/** The name in a token of ours. @throws S3Error for anything else. */
export function readContinuationToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8')
  if (!text.startsWith('1:') || continuationToken(text.slice(2)) !== token)
    throw new S3Error('InvalidArgument', 'The continuation token was not issued by this server.')
  return text.slice(2)
}
