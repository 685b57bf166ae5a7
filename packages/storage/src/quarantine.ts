import { StorageError } from './errors.ts'
import { QUARANTINE } from './key.ts'
import type { ObjectHead, Provider } from './provider.ts'
import type { TicketClaims } from './ticket.ts'

/** Says until when it may be completed, so that no sweep on any node takes it away before. */
export function quarantineKey({ id, completeBy }: Pick<TicketClaims, 'id' | 'completeBy'>): string {
  return `${QUARANTINE}${Math.ceil(completeBy / 1_000)}-${id}`
}

/** Whether the upload with this key can be completed no more. */
export function isOver(key: string, now: number): boolean {
  const until = /^quarantine\/(\d{1,12})-/.exec(key)?.[1]
  return until === undefined || Number(until) * 1_000 < now
}

export async function headOrNothing(
  provider: Provider,
  key: string,
  signal: AbortSignal | undefined,
): Promise<ObjectHead | undefined> {
  try {
    return await provider.head(key, signal)
  } catch (error) {
    if (error instanceof StorageError && error.code === 'STORAGE_ERR_NOT_FOUND') return undefined
    throw error
  }
}
