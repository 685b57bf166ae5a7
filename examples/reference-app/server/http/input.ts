import type { Request } from 'express'
import type { z } from 'zod'
import { HttpProblem } from './problem.ts'

/** The body, checked; throws the validation problem that names each field. */
export function bodyOf<Schema extends z.ZodType>(req: Request, schema: Schema): z.output<Schema> {
  if (typeof req.body !== 'object' || req.body === null)
    throw new HttpProblem('malformed', { detail: 'Send a JSON object.' })
  return schema.parse(req.body)
}

export function queryOf<Schema extends z.ZodType>(req: Request, schema: Schema): z.output<Schema> {
  return schema.parse(req.query)
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The `:id` of the path. What cannot be an id names nothing, so it is not found rather than malformed. */
export function idOf(req: Request): string {
  const { id } = req.params
  if (typeof id !== 'string' || !UUID.test(id)) throw new HttpProblem('not-found')
  return id
}
