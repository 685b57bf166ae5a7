import type { EpochEnd } from './broker.ts'
import type { Position } from './protocol.ts'

/**
 * True when everything a reader has seen is still part of the room: it stands in the present epoch at or
 * below its top, or in an earlier epoch at or below the point where the present one branched off.
 *
 * Numbering goes on across epochs, so such a reader continues at `offset + 1` of the present epoch.
 */
export function isShared(
  position: Position,
  room: { readonly epoch: string; readonly top: number; readonly previous: readonly EpochEnd[] },
): boolean {
  if (position.epoch === room.epoch) return position.offset <= room.top
  return room.previous.some((end) => end.epoch === position.epoch && position.offset <= end.top)
}

/** The last offset a reader shares with the room that does not hold its position; 0 when its epoch is unknown. */
export function branchOf(
  position: Position,
  room: { readonly epoch: string; readonly top: number; readonly previous: readonly EpochEnd[] },
): number {
  if (position.epoch === room.epoch) return room.top
  return room.previous.find((end) => end.epoch === position.epoch)?.top ?? 0
}
