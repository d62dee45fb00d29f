import type { Counts } from '../core/batch.ts'
import type { Position } from '../core/position.ts'

let lastPosition: Position | undefined
let lastPositionText = ''

/**
 * The answer to what was counted, as JSON: `{received,counted,duplicate,position}`. Written by hand, as there
 * is one for each event. The same counts and position give the same bytes, which a replay relies on.
 */
export function receiptText(counts: Counts, position: Position): string {
  if (position !== lastPosition) {
    // Everything in one commit has the same position.
    lastPosition = position
    lastPositionText = JSON.stringify(position)
  }
  const { received, counted, duplicate } = counts
  return `{"received":${received},"counted":${counted},"duplicate":${duplicate},"position":${lastPositionText}}`
}
