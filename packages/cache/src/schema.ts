import { CacheLoadError } from './errors.ts'

/**
 * The part of a Standard Schema that is used here: schemas of Zod, Valibot, ArkType and others fit as they are.
 *
 * Values are checked, not changed: what a schema would transform or strip stays as it was.
 */
export interface Schema<T = unknown> {
  /** See standardschema.dev. */
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    /** What is wrong with a value, if anything. */
    readonly validate: (value: unknown) => SchemaResult | Promise<SchemaResult>
    readonly types?: { readonly input: T; readonly output: unknown } | undefined
  }
}

/** What a schema says of a value. */
export interface SchemaResult {
  readonly issues?:
    | readonly { readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined }[]
    | undefined
}

const MOST_NAMED = 5

/** What a loader's value that does not fit rejects with. */
export function unfit(where: string): CacheLoadError {
  return new CacheLoadError('CACHE_ERR_SCHEMA', `the value does not fit its schema at ${where}`)
}

/** Where a value does not fit its schema, by the names of properties; `undefined` when it fits. Never rejects. */
export async function misfitOf(schema: Schema | undefined, value: unknown): Promise<string | undefined> {
  if (!schema) return undefined
  try {
    const { issues } = await schema['~standard'].validate(value)
    if (!issues) return undefined
    const paths = issues.map(({ path = [] }) =>
      path.map((step) => String(typeof step === 'object' ? step.key : step)).join('.'),
    )
    return [...new Set(paths)].slice(0, MOST_NAMED).join(', ') || 'its root'
  } catch {
    return 'its root'
  }
}
