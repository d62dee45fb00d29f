import {
  DAY_MS,
  FOLD_AFTER_IDS,
  FOLD_AFTER_KEYS,
  FOLD_AFTER_MS,
  FOLD_SLICE_IDS,
  FOLD_SLICE_KEYS,
  SECOND_MS,
} from '../../core/limits.ts'
import { type Counting, type IdGap, NO_GAP } from './counting.ts'
import { IDS_MAX } from './id-set.ts'
import type { Memtable } from './memtable.ts'
import type { Thread } from './thread.ts'
import type { Slice, WriterCalls } from './writer-protocol.ts'

/** How many times its usual size the active memtable may reach before commits wait for the fold. */
const PRESSURE = 4
// What is frozen under pressure must still be within what an IdSet can put in order.
const IDS_PRESSED = Math.min(PRESSURE * FOLD_AFTER_IDS, IDS_MAX / 2)
const RETRY_MS = 1_000
/** Ids that carry a time this near to the clock count as being of now: these go into blocks. */
const AHEAD_MS = 60_000
const BEHIND_MS = DAY_MS

/**
 * Moves what the journal holds into the tables, behind the commits and in slices small enough that no
 * commit waits long for one:
 *
 *   active ──freeze──► frozen ──slice, slice, … last slice──► in the tables, journal rows removed
 *
 * While commits come, one slice goes behind each, in proportion to what was committed; when they pause,
 * slices follow each other. Where a fold stands is written with each slice (`through`, `done`), so that
 * after a crash it goes on exactly there.
 */
export class Folding {
  private readonly counting: Counting
  private readonly writer: Thread<WriterCalls>
  private readonly options: {
    now: () => number
    minuteFrom: () => number
    log: (event: string, fields: Record<string, unknown>) => void
  }
  private done = 0
  private isSliceInFlight = false
  private isCommitInFlight = false
  private keysOwed = 0
  private idsOwed = 0
  private last: Slice['last'] | undefined = undefined
  private idOrder: Uint32Array = new Uint32Array()
  private readonly timer: NodeJS.Timeout
  private waiters: (() => void)[] = []
  private retryAtMs = 0
  private activeSinceMs = performance.now()
  /** The last batch whose fold is complete. */
  foldedThrough: number

  constructor(
    counting: Counting,
    writer: Thread<WriterCalls>,
    options: Folding['options'] & { foldedThrough: number; done: number },
  ) {
    this.counting = counting
    this.writer = writer
    this.options = options
    this.foldedThrough = options.foldedThrough
    this.done = options.done
    if (counting.frozen !== undefined) this.prepare()
    this.timer = setInterval(() => this.go(), FOLD_AFTER_MS / 4)
    this.timer.unref()
  }

  /** Entries of memtables that are not in the tables yet. */
  get pending(): number {
    const { active, frozen } = this.counting
    const waiting = frozen === undefined ? 0 : sizeOf(frozen) - this.done
    return waiting + sizeOf(active)
  }

  /** Whether commits should wait until `relief` resolves. */
  get isPressed(): boolean {
    const { active } = this.counting
    return (
      this.counting.frozen !== undefined &&
      (active.ids.size > IDS_PRESSED || active.cells.order.length > PRESSURE * FOLD_AFTER_KEYS)
    )
  }

  /** Resolves when the fold under way has ended or failed. */
  relief(): Promise<void> {
    this.go()
    return new Promise((resolve) => {
      this.waiters.push(resolve)
    })
  }

  /** A commit was sent: a slice may follow it. */
  commitSent(size: { keys: number; ids: number }): void {
    this.isCommitInFlight = true
    this.keysOwed += size.keys
    this.idsOwed += size.ids
    if (this.counting.frozen !== undefined) this.sendSlice()
  }

  /** The commit was answered, one way or the other. */
  commitAnswered(): void {
    this.isCommitInFlight = false
  }

  /** The committed batch is in the active memtable. */
  commitKept(): void {
    if (this.isDue()) this.freeze()
  }

  /** Folds everything; nothing may be committed meanwhile. */
  async finish(): Promise<void> {
    clearInterval(this.timer)
    for (;;) {
      if (this.counting.frozen === undefined) {
        if (this.counting.active.isEmpty) return
        this.freeze()
      }
      const before = this.foldedThrough
      await this.relief()
      if (this.foldedThrough === before) return // it failed; the journal keeps everything
    }
  }

  /** Lets the timer go without folding. */
  stop(): void {
    clearInterval(this.timer)
  }

  private go(): void {
    if (this.isCommitInFlight) return
    if (this.isDue()) this.freeze()
    if (this.counting.frozen !== undefined) this.sendSlice()
  }

  private isDue(): boolean {
    const { active, frozen } = this.counting
    if (frozen !== undefined || active.isEmpty) return false
    // By the monotonic clock: the fold goes on whatever is done to the time of day.
    const isOld = performance.now() - this.activeSinceMs >= FOLD_AFTER_MS
    return isOld || active.ids.size >= FOLD_AFTER_IDS || active.cells.order.length >= FOLD_AFTER_KEYS
  }

  private freeze(): void {
    this.counting.freeze()
    this.activeSinceMs = performance.now()
    this.keysOwed = 0
    this.idsOwed = 0
    this.done = 0
    this.prepare()
  }

  private prepare(): void {
    this.last = { ledger: [...this.counting.ledger], gapAroundMs: this.options.now() + AHEAD_MS }
    this.idOrder = this.counting.frozen?.ids.byTime() ?? new Uint32Array()
  }

  private sendSlice(): void {
    const { frozen } = this.counting
    if (frozen === undefined || this.isSliceInFlight || performance.now() < this.retryAtMs) return
    const slice = this.slice(frozen)
    this.isSliceInFlight = true
    this.writer.call('fold', slice).then(
      (gap) => this.sliceDone(slice, gap),
      (error: Error) => {
        this.isSliceInFlight = false
        this.retryAtMs = performance.now() + RETRY_MS
        this.options.log('fold-failed', { error: error.message })
        this.release()
      },
    )
  }

  private sliceDone(slice: Slice, gap: IdGap | undefined): void {
    this.isSliceInFlight = false
    this.done = slice.done
    if (slice.last !== undefined) {
      this.foldedThrough = slice.through
      this.counting.folded(gap ?? NO_GAP)
      this.release()
    }
    if (!this.isCommitInFlight) setImmediate(() => this.go())
  }

  /** Where nothing is stored, as far as it is of now. */
  private blockRange(): IdGap {
    const { lowMs, highMs } = this.counting.gap
    const nowMs = this.options.now()
    return { lowMs: Math.max(lowMs, nowMs - BEHIND_MS), highMs: Math.min(highMs, nowMs + AHEAD_MS) }
  }

  private release(): void {
    for (const resolve of this.waiters.splice(0)) resolve()
  }

  /** The next slice: keys first, then ids, the answers with the last one. */
  private slice(frozen: Memtable): Slice {
    const cells = frozen.cells.order
    const keysMax = Math.max(FOLD_SLICE_KEYS, 2 * this.keysOwed)
    const idsMax = Math.max(FOLD_SLICE_IDS, 2 * this.idsOwed)
    this.keysOwed = 0
    this.idsOwed = 0
    const keys = cells.slice(this.done, this.done + keysMax).map((cell) => ({
      counterId: cell.counter.id,
      key: cell.key,
      value: cell.value,
      version: cell.version,
      minutes: cell.minutes.flat(),
    }))
    const idStart = Math.max(0, this.done - cells.length)
    const idEnd = keys.length > 0 ? idStart : Math.min(idStart + idsMax, frozen.ids.size)
    const done = this.done + keys.length + (idEnd - idStart)
    const isLast = done === cells.length + frozen.ids.size
    return {
      through: frozen.lastSeq,
      done,
      keys,
      ids: frozen.ids.pick(this.idOrder.subarray(idStart, idEnd)),
      blockRange: this.blockRange(),
      answers: isLast ? [...frozen.answers.values()] : [],
      atS: Math.ceil(this.options.now() / SECOND_MS),
      minuteFrom: this.options.minuteFrom(),
      ...(isLast && this.last !== undefined ? { last: this.last } : {}),
    }
  }
}

function sizeOf(table: Memtable): number {
  return table.cells.order.length + table.ids.size
}
