import { TallyError } from '../../core/errors.ts'
import type { Position } from '../../core/position.ts'

/**
 * A position of the embedded store: its epoch (made at random when the store was created or restored) and
 * the number of the batch, as `1f3a9c04-1234`.
 */
const FORM = /^([0-9a-f]{8})-([0-9]{1,16})$/

export function formatPosition(epoch: string, seq: number): Position {
  return `${epoch}-${seq}` as Position
}

/** The batch that a position names. Throws `position_unknown` for anything this store did not issue. */
export function parsePosition(text: string, epoch: string): number {
  const [, foundEpoch, digits] = FORM.exec(text) ?? []
  const seq = Number(digits)
  if (foundEpoch !== epoch || !Number.isSafeInteger(seq)) {
    throw new TallyError('position_unknown', 'This position was not issued by this store.', {
      at: 'wait',
      expected: 'a position from an answer of this store',
    })
  }
  return seq
}
