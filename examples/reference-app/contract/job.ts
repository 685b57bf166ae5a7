import { z } from 'zod'
import {
  EMPLOYMENT_TYPES,
  type EmploymentType,
  ISLANDS,
  type Island,
  TRADES,
  type Trade,
} from './job-words.ts'

export const islandSchema = z.enum(ISLANDS)
export const tradeSchema = z.enum(TRADES)
export const employmentTypeSchema = z.enum(EMPLOYMENT_TYPES)

/** Above this many matches the count reads "1,000+" and is not computed further. */
export const COUNT_CAP = 1_000
export const PAGE_SIZE = 20

/** The query string of a search. A repeated name means "any of these". */
export const jobSearchSchema = z.strictObject({
  q: z.string().trim().max(120).optional(),
  island: z.union([islandSchema, z.array(islandSchema).max(ISLANDS.length)]).optional(),
  trade: z.union([tradeSchema, z.array(tradeSchema).max(TRADES.length)]).optional(),
  type: z.union([employmentTypeSchema, z.array(employmentTypeSchema).max(4)]).optional(),
  remote: z.enum(['true', 'false']).optional(),
  payMin: z.coerce.number().int().min(0).max(1_000_000).optional(),
  cursor: z.string().max(200).optional(),
})
export type JobSearch = z.infer<typeof jobSearchSchema>

export interface JobSummary {
  readonly id: string
  readonly title: string
  readonly company: string
  readonly island: Island
  readonly place: string
  readonly trade: Trade
  readonly type: EmploymentType
  readonly remote: boolean
  /** Whole Bahamian dollars a year. */
  readonly payFrom: number
  readonly payTo: number
  readonly postedAt: string
  readonly status: 'open' | 'closed'
}

export interface Job extends JobSummary {
  readonly description: string
  readonly closesAt: string | null
}

export interface JobPage {
  readonly items: readonly JobSummary[]
  /** Capped at {@link COUNT_CAP}. */
  readonly count: number
  readonly capped: boolean
  readonly nextCursor: string | null
}

export interface JobDetail {
  readonly job: Job
  readonly similar: readonly JobSummary[]
  /** Set for a signed-in seeker who applied already. */
  readonly applicationId: string | null
}

export const postJobSchema = z
  .strictObject({
    title: z.string().trim().min(4, 'Say what the job is.').max(100),
    description: z.string().trim().min(30, 'Describe the job in a few sentences.').max(10_000),
    island: islandSchema,
    place: z.string().trim().min(2).max(60),
    trade: tradeSchema,
    type: employmentTypeSchema,
    remote: z.boolean(),
    payFrom: z.int().min(1_000).max(1_000_000),
    payTo: z.int().min(1_000).max(1_000_000),
  })
  .refine((job) => job.payTo >= job.payFrom, {
    path: ['payTo'],
    message: 'The upper end must not be below the lower.',
  })
export type PostJob = z.infer<typeof postJobSchema>

export const changeJobSchema = z.strictObject({ status: z.enum(['open', 'closed']) })

/** A row of the employer's own list. */
export interface EmployerJob extends JobSummary {
  readonly applications: number
  readonly newApplications: number
}
