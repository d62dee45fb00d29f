import type { LedgerLine, Outcome, Submission } from '../core/batch.ts'
import type { TallyError } from '../core/errors.ts'
import type { Position } from '../core/position.ts'

/** Called once: with the error, or with the outcome after the submission is durable. */
export type Acknowledge = (error: TallyError | undefined, outcome?: Outcome, position?: Position) => void

/** The one door to the store: whatever arrives while the last commit runs goes into the next one. */
export interface GroupCommit {
  /**
   * Queues a validated submission; `bytes` is the size of its body. `done` is called after the commit that
   * holds it is durable, or with `overloaded`, `idempotency_in_flight`, `shutting_down`, `store_full`, `store_failed`,
   * `idempotency_mismatch` or `value_out_of_range`; the outcome is then of kind `counted` or `replayed`.
   */
  submit(submission: Submission, bytes: number, done: Acknowledge): void
  /** Tells the ledger of events that were received and refused. */
  refuse(events: number): void
  /** The ledger now: what is durable and what is waiting. */
  ledger(): LedgerLine[]
  /** Takes nothing more; resolves when everything taken is durable and acknowledged. */
  drain(): Promise<void>
}
