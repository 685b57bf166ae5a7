import type { z } from 'zod'
import { ApiError } from '../data/api.ts'

export type FieldErrors = Readonly<Record<string, string>>

/**
 * Checks a form with the contract's own schema. `messages` says in the form's words what the schema says in
 * its own ("Too small: …").
 */
export function checkForm<Schema extends z.ZodType>(
  schema: Schema,
  values: unknown,
  messages: FieldErrors = {},
): { readonly data: z.output<Schema>; readonly errors?: never } | { readonly errors: FieldErrors } {
  const parsed = schema.safeParse(values)
  if (parsed.success) return { data: parsed.data }
  const errors: Record<string, string> = {}
  for (const issue of parsed.error.issues) {
    const field = String(issue.path[0] ?? '')
    const generic = /^(Too |Invalid )/.test(issue.message)
    errors[field] ??= (generic ? messages[field] : undefined) ?? issue.message
  }
  return { errors }
}

/** The fields that the server named, for showing them at their places. */
export function serverErrors(error: unknown): FieldErrors {
  return (error instanceof ApiError && error.problem.errors) || {}
}

/** Puts the focus where the first mistake is, once it is marked. */
export function focusFirstError(form: HTMLFormElement): void {
  requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus())
}
