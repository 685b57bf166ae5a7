import { z } from 'zod'
import type { JobSummary } from './job.ts'

export const APPLICATION_STATUSES = ['new', 'reviewing', 'interview', 'offer', 'closed'] as const
export const applicationStatusSchema = z.enum(APPLICATION_STATUSES)
export type ApplicationStatus = z.infer<typeof applicationStatusSchema>

export const RESUME_TYPE = 'application/pdf'
export const RESUME_MAX_BYTES = 20 * 1024 * 1024

const digestSchema = z.string().regex(/^[A-Za-z0-9+/]{43}=$/)

/** Asks for a ticket to upload a résumé straight to the bucket. */
export const issueUploadSchema = z.strictObject({
  name: z.string().min(1).max(200),
  size: z.int().min(1).max(RESUME_MAX_BYTES, 'A résumé may have at most 20 MB.'),
  type: z.literal(RESUME_TYPE, 'A résumé must be a PDF.'),
  sha256: digestSchema.optional(),
  /** Of a file that is sent in parts. */
  partSha256: z.array(digestSchema).max(10).optional(),
})
export type IssueUpload = z.infer<typeof issueUploadSchema>

/** Applies with the ticket of a finished upload. Safe to repeat: one application per seeker and job. */
export const applySchema = z.strictObject({
  uploadToken: z.string().min(1).max(8_192),
  note: z.string().trim().max(2_000),
})
export type Apply = z.infer<typeof applySchema>

export const changeApplicationSchema = z.strictObject({
  status: applicationStatusSchema,
  /** The version the change is based on; a newer one at the server answers 409 with it. */
  version: z.int().min(1),
})

interface ApplicationBase {
  readonly id: string
  readonly status: ApplicationStatus
  readonly version: number
  readonly note: string
  readonly resumeName: string
  readonly createdAt: string
  readonly updatedAt: string
}

/** As the applicant sees it. */
export interface MyApplication extends ApplicationBase {
  readonly job: JobSummary
}

/** As the employer sees it. */
export interface ReceivedApplication extends ApplicationBase {
  readonly jobId: string
  readonly applicant: { readonly id: string; readonly name: string }
}

export interface Notification {
  readonly id: string
  readonly kind: 'application-received' | 'application-status'
  readonly text: string
  /** Path in the app to open. */
  readonly href: string
  readonly createdAt: string
  readonly read: boolean
}
