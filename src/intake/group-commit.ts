import type { Applied, Batch, ChangedKey, LedgerLine, Outcome, Submission } from '../core/batch.ts'
import { TallyError } from '../core/errors.ts'
import {
  COMMIT_EVENTS_MAX,
  GATHER_MS_MAX,
  INTAKE_QUEUE_BYTES_MAX,
  INTAKE_QUEUE_EVENTS_MAX,
} from '../core/limits.ts'
import type { Position } from '../core/position.ts'

/** Called once: with the error, or with the outcome after the submission is durable. */
export type Acknowledge = (error: TallyError | undefined, outcome?: Outcome, position?: Position) => void

/** The one door to the store: whatever arrives while the last commit runs goes into the next one. */
export interface GroupCommit {
  /**
   * Queues a validated submission; `bytes` is the size of its body. `done` is called after the commit that
   * holds it is durable, or with `overloaded`, `idempotency_in_flight`, `shutting_down`, `store_full`,
   * `store_failed`, `idempotency_mismatch` or `value_out_of_range`; the outcome is then of kind `counted` or
   * `replayed`.
   */
  submit(submission: Submission, bytes: number, done: Acknowledge): void
  /** Tells the ledger of events that were received and refused. */
  refuse(events: number): void
  /** The ledger now: what is durable and what is waiting. */
  ledger(): LedgerLine[]
  /** Events waiting or being committed. */
  pending(): number
  /** Takes nothing more; resolves when everything taken is durable and acknowledged. */
  drain(): Promise<void>
}

export interface GroupCommitOptions {
  /** The ledger's line of what comes through this door. */
  readonly stream: string
  /** The ledger as the store had it when it was opened. */
  readonly ledger: readonly LedgerLine[]
  /** Called after each commit, before its acknowledgements: whose values changed. */
  readonly onChanged: (changed: readonly ChangedKey[]) => void
  /** Called after each try to commit, with its size and its time. */
  readonly onCommit: (commit: { events: number; durationMs: number; failed: boolean }) => void
}

interface Waiting {
  readonly submission: Submission
  readonly bytes: number
  readonly done: Acknowledge
}

export function createGroupCommit(
  apply: (batch: Batch) => Promise<Applied>,
  options: GroupCommitOptions,
): GroupCommit {
  return new Queue(apply, options)
}

/**
 *   submit ─► waiting ─(nothing in flight, a turn of the event loop brings no more)─► in flight ─► acknowledged
 *
 * One commit is in flight at a time. Before it starts, turns of the event loop go by while they bring more, so
 * that what arrives on other sockets in the same moment shares its fsync.
 */
class Queue implements GroupCommit {
  private readonly apply: (batch: Batch) => Promise<Applied>
  private readonly options: GroupCommitOptions
  private readonly totals: { received: number; counted: number; duplicate: number; rejected: number }
  private readonly others: readonly LedgerLine[]
  /** Idempotency-Keys that wait or are in flight. */
  private readonly keys = new Set<string>()
  private waiting: Waiting[] = []
  private waitingEvents = 0
  private waitingBytes = 0
  private inFlightEvents = 0
  private unsavedRejected = 0
  private isScheduled = false
  private isInFlight = false
  private isDraining = false
  private drained: (() => void)[] = []

  constructor(apply: (batch: Batch) => Promise<Applied>, options: GroupCommitOptions) {
    this.apply = apply
    this.options = options
    const own = options.ledger.find((line) => line.stream === options.stream)
    const { received = 0, counted = 0, duplicate = 0, rejected = 0 } = own ?? {}
    this.totals = { received, counted, duplicate, rejected }
    this.others = options.ledger.filter((line) => line !== own)
  }

  submit(submission: Submission, bytes: number, done: Acknowledge): void {
    const { length } = submission.events
    const refusal = this.refusal(submission, bytes)
    if (refusal !== undefined) {
      this.refuse(length)
      done(refusal)
      return
    }
    this.totals.received += length
    if (submission.idempotency !== undefined) this.keys.add(submission.idempotency.key)
    this.waiting.push({ submission, bytes, done })
    this.waitingEvents += length
    this.waitingBytes += bytes
    this.schedule()
  }

  refuse(events: number): void {
    this.totals.received += events
    this.totals.rejected += events
    this.unsavedRejected += events
  }

  ledger(): LedgerLine[] {
    return [...this.others, { stream: this.options.stream, ...this.totals, pending: this.pending() }]
  }

  pending(): number {
    return this.waitingEvents + this.inFlightEvents
  }

  drain(): Promise<void> {
    this.isDraining = true
    return new Promise((resolve) => {
      this.drained.push(resolve)
      this.schedule()
    })
  }

  private refusal({ events, idempotency }: Submission, bytes: number): TallyError | undefined {
    if (this.isDraining) {
      return new TallyError(
        'shutting_down',
        'The service is stopping; send this again to another or later.',
        {
          retryAfterS: 1,
        },
      )
    }
    if (
      this.waitingEvents + events.length > INTAKE_QUEUE_EVENTS_MAX ||
      this.waitingBytes + bytes > INTAKE_QUEUE_BYTES_MAX
    ) {
      return new TallyError('overloaded', 'More events are waiting to be committed than may wait.', {
        retryAfterS: 1,
      })
    }
    if (idempotency !== undefined && this.keys.has(idempotency.key)) {
      return new TallyError(
        'idempotency_in_flight',
        'A request with this Idempotency-Key is being counted.',
        {
          at: 'Idempotency-Key',
          retryAfterS: 1,
        },
      )
    }
    return undefined
  }

  private schedule(): void {
    if (this.isScheduled || this.isInFlight) return
    this.isScheduled = true
    // The rest of this turn reads no sockets; the next one does.
    setImmediate(() => this.gather(this.waitingEvents, performance.now()))
  }

  /** Turns go by as long as each brings more, up to a bound: an fsync costs more than the wait. */
  private gather(before: number, sinceMs: number): void {
    setImmediate(() => {
      const isGrowing = this.waitingEvents > before && this.waitingEvents < COMMIT_EVENTS_MAX
      if (isGrowing && performance.now() - sinceMs < GATHER_MS_MAX) {
        this.gather(this.waitingEvents, sinceMs)
        return
      }
      this.isScheduled = false
      if (this.waiting.length > 0) void this.commit(this.take())
      else void this.finishDrain()
    })
  }

  /** What goes into the next commit: all that waits, up to a size that keeps a commit short. */
  private take(): Waiting[] {
    let events = 0
    let bytes = 0
    let end = 0
    for (const { submission, bytes: size } of this.waiting) {
      if (end > 0 && events + submission.events.length > COMMIT_EVENTS_MAX) break
      events += submission.events.length
      bytes += size
      end++
    }
    const taken = end === this.waiting.length ? this.waiting : this.waiting.slice(0, end)
    this.waiting = end === this.waiting.length ? [] : this.waiting.slice(end)
    this.waitingEvents -= events
    this.waitingBytes -= bytes
    this.inFlightEvents = events
    this.isInFlight = true
    return taken
  }

  private async commit(taken: readonly Waiting[]): Promise<void> {
    const startMs = performance.now()
    const events = this.inFlightEvents
    const rejected = this.unsavedRejected
    const batch = { stream: this.options.stream, submissions: taken.map((item) => item.submission), rejected }
    let applied: Applied | undefined
    let failure: TallyError | undefined
    try {
      applied = await this.apply(batch)
      this.unsavedRejected -= rejected
    } catch (error) {
      failure =
        error instanceof TallyError
          ? error
          : new TallyError('internal', 'The commit failed.', { cause: error })
    }
    this.isInFlight = false
    this.inFlightEvents = 0
    this.schedule()
    // First the ledger, all of it, then whoever waits: it balances at every moment anyone can look.
    const results = taken.map((_, index) => failure ?? applied?.outcomes[index] ?? NO_OUTCOME)
    for (const [index, item] of taken.entries()) this.settle(item, results[index] ?? NO_OUTCOME)
    this.options.onCommit({ events, durationMs: performance.now() - startMs, failed: failure !== undefined })
    if (applied !== undefined) this.options.onChanged(applied.changed)
    for (const [index, item] of taken.entries()) {
      const result = results[index] ?? NO_OUTCOME
      if (result instanceof TallyError) item.done(result)
      else if (result.kind === 'counted') item.done(undefined, result, applied?.position)
      else if (result.kind === 'replayed') item.done(undefined, result, result.position)
      else item.done(refusalOf(result))
    }
  }

  /** Moves a submission's events from pending to what became of them. */
  private settle({ submission }: Waiting, result: TallyError | Outcome): void {
    const { length } = submission.events
    if (submission.idempotency !== undefined) this.keys.delete(submission.idempotency.key)
    if (result instanceof TallyError) {
      this.totals.rejected += length
      this.unsavedRejected += length
    } else if (result.kind === 'counted') {
      this.totals.counted += result.counted
      this.totals.duplicate += result.duplicate
    } else if (result.kind === 'replayed') this.totals.duplicate += length
    else this.totals.rejected += length
  }

  private async finishDrain(): Promise<void> {
    if (!this.isDraining) return
    const rejected = this.unsavedRejected
    this.unsavedRejected = 0
    // The last rejections go to the ledger with a batch of their own; if that fails they are only not kept.
    if (rejected > 0) {
      await this.apply({ stream: this.options.stream, submissions: [], rejected }).catch(() => undefined)
    }
    for (const done of this.drained.splice(0)) done()
  }
}

const NO_OUTCOME = new TallyError('internal', 'The store gave no outcome.')

function refusalOf(outcome: Exclude<Outcome, { kind: 'counted' | 'replayed' }>): TallyError {
  if (outcome.kind === 'mismatch') {
    return new TallyError('idempotency_mismatch', 'This Idempotency-Key came before with another body.', {
      at: 'Idempotency-Key',
      expected: 'the same request as before, or a new key',
    })
  }
  return new TallyError(
    'value_out_of_range',
    'With this event the value would leave the range of exact numbers.',
    {
      index: outcome.index,
      at: `/${outcome.index}/delta`,
    },
  )
}
