import { z } from 'zod'

export const roleSchema = z.enum(['seeker', 'employer'])
export type Role = z.infer<typeof roleSchema>

const email = z.string().trim().toLowerCase().max(254).pipe(z.email())
const password = z.string().min(10, 'Use at least 10 characters.').max(200)
const personName = z.string().trim().min(1, 'Tell us your name.').max(80)

export const signUpSchema = z
  .strictObject({
    email,
    password,
    name: personName,
    role: roleSchema,
    company: z.string().trim().min(2).max(80).optional(),
  })
  .refine((body) => body.role !== 'employer' || body.company !== undefined, {
    path: ['company'],
    message: 'Name the company that hires.',
  })
export type SignUp = z.infer<typeof signUpSchema>

export const signInSchema = z.strictObject({ email, password: z.string().min(1).max(200) })
export type SignIn = z.infer<typeof signInSchema>

export interface Account {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly role: Role
  readonly company: string | null
}

export interface SessionInfo {
  readonly id: string
  readonly current: boolean
  /** ISO 8601 */
  readonly createdAt: string
  readonly lastSeenAt: string
  readonly userAgent: string
}

/** What a page needs to open its socket: short-lived, for the first message only. */
export interface RealtimeToken {
  readonly token: string
  readonly expiresAt: string
}
