import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { ErrorTable } from '@cays/core/error'
import { root } from './workspace.ts'

/** The table of codes that a package exports from `src/errors.ts`; empty for a package without errors. */
export async function errorTableOf(folder: string): Promise<ErrorTable> {
  const file = join(root, folder, 'src/errors.ts')
  if (!existsSync(file)) return {}
  const values = Object.values((await import(file)) as Record<string, unknown>)
  const table = values.find(isTable)
  if (!table) throw new Error(`${folder}/src/errors.ts exports no table of codes`)
  return table
}

function isTable(value: unknown): value is ErrorTable {
  if (typeof value !== 'object' || value === null) return false
  const entries = Object.entries(value as Record<string, { readonly meaning?: unknown } | undefined>)
  return entries.length > 0 && entries.every(([, cause]) => typeof cause?.meaning === 'string')
}
