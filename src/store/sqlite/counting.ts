import type { Batch, ChangedKey, CountEvent, Outcome, Submission } from '../../core/batch.ts'
import { MINUTE_MS, SECOND_MS, VALUE_CACHE_KEYS_MAX } from '../../core/limits.ts'
import type { Position } from '../../core/position.ts'
import { writeEventId } from '../event-id.ts'
import { type Cell, CellTable, type StoredCounter } from './cells.ts'
import { ID_BYTES, ID_WORDS, timeOfId } from './id-set.ts'
import { type Answer, encodeCells, type JournalRow, type LedgerTotals, Memtable, sealed } from './memtable.ts'
import { ValueCache, type Versioned } from './value-cache.ts'

/** What the tables hold of things that are in no memtable. */
export interface Tables {
  value(counterId: number, key: string): Versioned | undefined
  answer(key: string): Answer | undefined
  /** Which of these ids (20 bytes a piece) were seen, by their number. */
  seen(ids: Uint8Array): number[]
  /** Something was folded into the tables: what they hold in memory may be a part. */
  refresh(): void
}

/** A batch that was counted and waits for its commit. */
export interface Counted {
  readonly row: JournalRow
  readonly outcomes: Outcome[]
  readonly changed: ChangedKey[]
  readonly cells: CellTable
  readonly answers: Map<string, Answer>
  readonly ledger: Map<string, LedgerTotals>
  /** How many ids the memtable held before. */
  readonly idsBefore: number
}

/** No id of the tables carries a time strictly between the two, milliseconds since the epoch. */
export interface IdGap {
  readonly lowMs: number
  readonly highMs: number
}

/** The gap of a store without ids. */
export const NO_IDS: IdGap = { lowMs: -1, highMs: Number.POSITIVE_INFINITY }
/** Nothing is known: every id is looked up. */
export const NO_GAP: IdGap = { lowMs: 0, highMs: 0 }

const NO_TOTALS: LedgerTotals = { received: 0, counted: 0, duplicate: 0, rejected: 0 }
const COUNTED = 1
const SEEN = 2

/**
 * Decides what a batch changes. Two memtables stand before the tables: `active` takes what commits,
 * `frozen` is being folded into the tables. A batch is counted against all three, written to the journal by
 * the caller, and then either kept (`commit`) or taken back (`rollback`); there is never more than one.
 */
export class Counting {
  active = new Memtable()
  frozen: Memtable | undefined = undefined
  ledger: Map<string, LedgerTotals>
  gap: IdGap
  private readonly cache = new ValueCache(VALUE_CACHE_KEYS_MAX)
  private readonly tables: Tables
  private readonly counters: (name: string) => StoredCounter
  private readonly position: (seq: number) => Position
  private words = new Uint32Array(1024 * ID_WORDS)
  private flags = new Uint8Array(1024)

  constructor(
    tables: Tables,
    counters: (name: string) => StoredCounter,
    options: { ledger: Map<string, LedgerTotals>; gap: IdGap; position: (seq: number) => Position },
  ) {
    this.tables = tables
    this.counters = counters
    this.ledger = options.ledger
    this.gap = options.gap
    this.position = options.position
  }

  /** The value of a key now: everything that is committed. */
  value(counterId: number, key: string): Versioned {
    const cell = this.active.cells.get(counterId, key) ?? this.frozen?.cells.get(counterId, key)
    if (cell !== undefined) return cell
    const cached = this.cache.get(counterId, key)
    if (cached !== undefined) return cached
    const read = this.tables.value(counterId, key) ?? { value: 0, version: 0 }
    this.cache.set(counterId, key, read)
    return read
  }

  /** Counts a batch as number `seq`; the caller commits or rolls back before the next. */
  count(batch: Batch, seq: number, nowMs: number): Counted {
    const idsBefore = this.active.ids.size
    this.markSeen(batch)
    const answers = new Map<string, Answer>()
    const cells = new CellTable()
    const totals = { ...(this.ledger.get(batch.stream) ?? NO_TOTALS) }
    totals.received += batch.rejected
    totals.rejected += batch.rejected
    const atS = Math.floor(nowMs / SECOND_MS)
    const outcomes: Outcome[] = []
    let first = 0
    for (const submission of batch.submissions) {
      const outcome = this.countSubmission(submission, cells, answers, { first, seq, atS })
      first += submission.events.length
      addToTotals(totals, submission.events.length, outcome)
      outcomes.push(outcome)
    }
    const ledger = new Map(this.ledger).set(batch.stream, totals)
    const row = sealed({
      seq,
      atS,
      cells: encodeCells(cells),
      ids: this.active.ids.bytes(idsBefore, this.active.ids.size),
      answers: JSON.stringify([...answers.values()]),
      ledger: JSON.stringify([...ledger]),
    })
    const changed = cells.order.map(({ counter: { name }, key }) => ({ counter: name, key }))
    return { row, outcomes, changed, cells, answers, ledger, idsBefore }
  }

  /** Keeps a counted batch, after its journal row is durable. */
  commit(counted: Counted): void {
    this.active.merge(counted.cells, counted.row.seq)
    for (const answer of counted.answers.values()) this.active.answers.set(answer.key, answer)
    this.active.stamp(counted.row.seq)
    this.ledger = counted.ledger
  }

  /** Forgets a counted batch whose journal row did not become durable. */
  rollback(counted: Counted): void {
    this.active.ids.truncate(counted.idsBefore)
  }

  /** Sets the active memtable aside for folding. */
  freeze(): Memtable {
    const frozen = this.active
    this.frozen = frozen
    this.active = new Memtable(frozen.ids.size)
    return frozen
  }

  /** The frozen memtable is in the tables now; `gap` was read after that. */
  folded(gap: IdGap): void {
    for (const cell of this.frozen?.cells.order ?? []) {
      this.cache.set(cell.counter.id, cell.key, { value: cell.value, version: cell.version })
    }
    this.tables.refresh()
    this.frozen = undefined
    this.gap = gap
  }

  private countSubmission(
    submission: Submission,
    cells: CellTable,
    answers: Map<string, Answer>,
    batch: { first: number; seq: number; atS: number },
  ): Outcome {
    const { events, idempotency } = submission
    if (idempotency !== undefined) {
      const earlier = answers.get(idempotency.key) ?? this.answer(idempotency.key)
      if (earlier !== undefined) return this.replay(earlier, idempotency.fingerprint)
    }
    const idsBefore = this.active.ids.size
    let counted = 0
    for (let index = 0; index < events.length; index++) {
      const event = events[index] as CountEvent
      const number = batch.first + index
      if (event.id !== undefined && !this.isNew(number)) continue
      const cell = this.cellOf(cells, event)
      cell.value += event.delta
      if (cell.counter.keepsSeries) cell.minutes.add(Math.floor(event.timeMs / MINUTE_MS), event.delta)
      this.flags[number] = COUNTED
      counted++
      if (!Number.isSafeInteger(cell.value)) {
        this.takeBack(events.slice(0, index + 1), cells, batch.first)
        this.active.ids.truncate(idsBefore)
        return { kind: 'out-of-range', index }
      }
    }
    const counts = { received: events.length, counted, duplicate: events.length - counted }
    if (idempotency !== undefined) {
      answers.set(idempotency.key, { ...idempotency, ...counts, seq: batch.seq, atS: batch.atS })
    }
    return { kind: 'counted', ...counts }
  }

  private replay(earlier: Answer, fingerprint: string): Outcome {
    if (earlier.fingerprint !== fingerprint) return { kind: 'mismatch' }
    const { received, counted, duplicate, seq } = earlier
    return { kind: 'replayed', received, counted, duplicate, position: this.position(seq) }
  }

  private answer(key: string): Answer | undefined {
    return this.active.answers.get(key) ?? this.frozen?.answers.get(key) ?? this.tables.answer(key)
  }

  private isNew(number: number): boolean {
    const at = number * ID_WORDS
    if (this.flags[number] === SEEN || this.frozen?.ids.has(this.words, at)) return false
    return this.active.ids.add(this.words, at)
  }

  private cellOf(cells: CellTable, event: CountEvent): Cell {
    const counter = this.counters(event.counter)
    const known = cells.get(counter.id, event.key)
    if (known !== undefined) return known
    const target = this.active.cells.get(counter.id, event.key)
    const { value, version } = target ?? this.value(counter.id, event.key)
    return cells.create(counter, event.key, { value, version, target })
  }

  private takeBack(events: readonly CountEvent[], cells: CellTable, first: number): void {
    for (const [index, event] of events.entries()) {
      if (this.flags[first + index] !== COUNTED) continue
      const cell = this.cellOf(cells, event)
      cell.value -= event.delta
      if (cell.counter.keepsSeries) cell.minutes.add(Math.floor(event.timeMs / MINUTE_MS), -event.delta)
    }
  }

  /**
   * Writes the words of every id of the batch, and flags those that the tables have. An id inside the gap
   * can't be there, which spares fresh ids in the order of time (UUIDv7) the look-up.
   */
  private markSeen(batch: Batch): void {
    const events = batch.submissions.reduce((sum, submission) => sum + submission.events.length, 0)
    if (this.flags.length < events) {
      this.flags = new Uint8Array(events * 2)
      this.words = new Uint32Array(events * 2 * ID_WORDS)
    }
    this.flags.fill(0, 0, events)
    const { lowMs, highMs } = this.gap
    const doubtful: number[] = []
    let number = 0
    for (const submission of batch.submissions) {
      for (const event of submission.events) {
        if (event.id !== undefined) {
          const at = number * ID_WORDS
          writeEventId(event.id, this.words, at)
          this.words[at + 4] = this.counters(event.counter).id
          const timeMs = timeOfId(this.words, at)
          if (timeMs <= lowMs || timeMs >= highMs) doubtful.push(number)
        }
        number++
      }
    }
    if (doubtful.length === 0) return
    const asked = new Uint32Array(doubtful.length * ID_WORDS)
    for (const [index, which] of doubtful.entries()) {
      asked.set(this.words.subarray(which * ID_WORDS, (which + 1) * ID_WORDS), index * ID_WORDS)
    }
    const bytes = Buffer.from(asked.buffer, 0, doubtful.length * ID_BYTES).swap32()
    for (const index of this.tables.seen(bytes)) this.flags[doubtful[index] as number] = SEEN
  }
}

function addToTotals(
  totals: { -readonly [Field in keyof LedgerTotals]: number },
  events: number,
  outcome: Outcome,
): void {
  totals.received += events
  if (outcome.kind === 'counted') {
    totals.counted += outcome.counted
    totals.duplicate += outcome.duplicate
  } else if (outcome.kind === 'replayed') totals.duplicate += events
  else totals.rejected += events
}
