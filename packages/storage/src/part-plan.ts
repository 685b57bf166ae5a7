export const MiB: number = 2 ** 20

/** Parts up to this travel as one request. R2 and S3 take parts from 5 MiB and at most 10,000 of them. */
export const PART_SIZE: number = 8 * MiB
export const MAX_PARTS = 10_000

/** Above this a browser sends parts, so that it can pause and resume. */
export const MULTIPART_ABOVE: number = 16 * MiB

/** The size of every part but the last, so that the whole fits in 10,000 of them. */
export function partSizeFor(size: number | undefined): number {
  if (size === undefined) return PART_SIZE
  return Math.max(PART_SIZE, Math.ceil(size / MAX_PARTS / MiB) * MiB)
}
