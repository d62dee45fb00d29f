import { TallyError } from '../core/errors.ts'
import { POSITION_POLL_MS, WAITERS_MAX } from '../core/limits.ts'
import type { Positions } from '../store/store.ts'

/** Called once, when the position is contained in readings or with the error that ended the wait. */
export type Reached = (error: TallyError | undefined) => void

interface Waiter {
  readonly position: string
  readonly deadlineMs: number
  readonly done: Reached
}

/**
 * Reads that wait for a write. A position of an acknowledgement has been reached when it is sent, so waiting
 * is rare in one process; all waiters share one timer, which runs only while there are any. Looking at
 * intervals works alike for every driver, also where another process does the writing.
 */
export class PositionWaiters {
  private readonly positions: Positions
  private readonly now: () => number
  private readonly waiters = new Set<Waiter>()
  private timer: NodeJS.Timeout | undefined

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(positions: Positions, now: () => number) {
    this.positions = positions
    this.now = now
    this.timer = undefined
  }

  /**
   * Calls `done` at once if the position is reached, otherwise when it is, or with `position_not_reached` after
   * the timeout, or with `overloaded`. Throws `position_unknown`. The answer ends the wait early, without
   * calling `done`.
   */
  wait(position: string, timeoutMs: number, done: Reached): () => void {
    if (this.positions.reached(position)) {
      done(undefined)
      return () => undefined
    }
    if (this.waiters.size >= WAITERS_MAX) {
      done(new TallyError('overloaded', 'Too many reads are waiting for a position', { retryAfterS: 1 }))
      return () => undefined
    }
    const waiter: Waiter = { position, deadlineMs: this.now() + timeoutMs, done }
    this.waiters.add(waiter)
    this.timer ??= setInterval(() => this.look(), POSITION_POLL_MS)
    return () => this.remove(waiter)
  }

  /** Ends every wait with `shutting_down`. */
  stop(): void {
    for (const waiter of this.waiters) {
      this.remove(waiter)
      waiter.done(new TallyError('shutting_down', 'The service is stopping', { retryAfterS: 1 }))
    }
  }

  private look(): void {
    const nowMs = this.now()
    for (const waiter of this.waiters) {
      const isReached = this.positions.reached(waiter.position)
      if (!isReached && nowMs < waiter.deadlineMs) continue
      this.remove(waiter)
      waiter.done(isReached ? undefined : notReached())
    }
  }

  private remove(waiter: Waiter): void {
    this.waiters.delete(waiter)
    if (this.waiters.size > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }
}

function notReached(): TallyError {
  return new TallyError('position_not_reached', 'The position was not reached within the timeout', {
    at: 'wait',
    expected: 'a position that was reached, or a longer timeout',
    retryAfterS: 1,
  })
}
