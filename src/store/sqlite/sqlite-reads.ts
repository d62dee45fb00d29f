import { compareByCodePoint } from '../../core/code-points.ts'
import { TallyError } from '../../core/errors.ts'
import type { Position } from '../../core/position.ts'
import type { Bucket, Ranked, Reading, ReadingPage } from '../../core/reading.ts'
import type { KeySelection, Span } from '../store.ts'
import type { Cell } from './cells.ts'
import type { Counting } from './counting.ts'
import type { Folding } from './folding.ts'
import type { Memtable } from './memtable.ts'
import type { Reader } from './reader.ts'
import type { Overlay, UnfoldedMinutes } from './reader-protocol.ts'
import type { KeyRow, TableReads } from './tables.ts'

/** What readings are made of: the tables, and the memtables that stand before them. */
export class SqliteReads {
  private readonly counting: Counting
  private readonly folding: Folding
  private readonly tables: TableReads
  private readonly reader: Reader
  private readonly options: {
    counterId: (name: string) => number | undefined
    position: () => Position
    now: () => number
    minuteFromMs: () => number
  }

  constructor(
    parts: { counting: Counting; folding: Folding; tables: TableReads; reader: Reader },
    options: SqliteReads['options'],
  ) {
    this.counting = parts.counting
    this.folding = parts.folding
    this.tables = parts.tables
    this.reader = parts.reader
    this.options = options
  }

  reading(counter: string, key: string): Reading {
    const id = this.options.counterId(counter)
    const { value, version } = id === undefined ? { value: 0, version: 0 } : this.counting.value(id, key)
    return { counter, key, value, version, position: this.options.position(), asOfMs: this.options.now() }
  }

  readings(counter: string, selection: KeySelection): ReadingPage {
    if ('keys' in selection) return { readings: selection.keys.map((key) => this.reading(counter, key)) }
    const id = this.options.counterId(counter)
    if (id === undefined) return { readings: [] }
    const { after, limit } = selection
    // One row more than asked tells whether another page follows.
    const rows = new Map(this.tables.page(id, after, limit + 1).map((row) => [row.key, row]))
    for (const cell of this.unfoldedCells(id)) {
      if (after === undefined || compareByCodePoint(cell.key, after) > 0) rows.set(cell.key, cell)
    }
    const ordered = [...rows.values()].sort((left, right) => compareByCodePoint(left.key, right.key))
    const page = ordered.slice(0, limit)
    const last = page.at(-1)
    const readings = page.map(({ key, value, version }) => this.asReading(counter, { key, value, version }))
    return ordered.length > limit && last !== undefined ? { readings, nextAfter: last.key } : { readings }
  }

  async top(counter: string, options: { limit: number; spans?: readonly Span[] }): Promise<Ranked[]> {
    const id = this.options.counterId(counter)
    if (id === undefined) return []
    const { limit, spans } = options
    if (spans === undefined) return this.topOfAll(id, limit)
    this.refuseExpired(spans)
    return this.reader.read('top', () => ({
      counterId: id,
      spans,
      limit,
      overlay: this.overlay(id, undefined),
    }))
  }

  async series(counter: string, key: string, spans: readonly Span[]): Promise<Bucket[]> {
    const id = this.options.counterId(counter)
    if (id === undefined) return []
    this.refuseExpired(spans)
    const pairs = await this.reader.read('series', () => ({
      counterId: id,
      key,
      spans,
      overlay: this.overlay(id, key),
    }))
    const buckets: Bucket[] = []
    for (let at = 0; at < pairs.length; at += 2) {
      buckets.push({ startMs: pairs[at] as number, count: pairs[at + 1] as number })
    }
    return buckets
  }

  private topOfAll(id: number, limit: number): Ranked[] {
    const unfolded = this.unfoldedCells(id)
    const isUnfolded = new Set(unfolded.map((cell) => cell.key))
    const candidates: { key: string; value: number }[] = [...unfolded]
    let taken = 0
    let lowest = 0
    for (const row of this.tables.highest(id)) {
      if (isUnfolded.has(row.key)) continue
      // Keys with the value of the last one taken are all needed: among equals the key decides.
      if (taken >= limit && row.value < lowest) break
      candidates.push(row)
      lowest = row.value
      taken++
    }
    return candidates
      .sort((left, right) => right.value - left.value || compareByCodePoint(left.key, right.key))
      .slice(0, limit)
      .map(({ key, value }) => ({ key, value }))
  }

  /** The newest cell of each key that the tables may lack. */
  private unfoldedCells(counterId: number): Cell[] {
    const cells = new Map<string, Cell>(this.counting.frozen?.cells.of(counterId))
    for (const [key, cell] of this.counting.active.cells.of(counterId)) cells.set(key, cell)
    return [...cells.values()]
  }

  private overlay(counterId: number, key: string | undefined): Overlay {
    const { active, frozen } = this.counting
    const cells: UnfoldedMinutes[] = []
    const take = (table: Memtable | undefined, isActive: boolean) => {
      const found =
        key === undefined ? table?.cells.of(counterId).values() : [table?.cells.get(counterId, key)]
      for (const cell of found ?? []) {
        if (cell === undefined) continue
        cells.push({ key: cell.key, index: isActive ? -1 : cell.index, minutes: cell.minutes.flat() })
      }
    }
    take(frozen, false)
    take(active, true)
    return { frozenThrough: frozen?.lastSeq ?? 0, foldedThrough: this.folding.foldedThrough, cells }
  }

  private asReading(counter: string, row: KeyRow): Reading {
    return { counter, ...row, position: this.options.position(), asOfMs: this.options.now() }
  }

  private refuseExpired(spans: readonly Span[]): void {
    const fromMs = this.options.minuteFromMs()
    const expired = spans.find((span) => span.resolution === 'minute' && span.fromMs < fromMs)
    if (expired === undefined) return
    throw new TallyError(
      'resolution_expired',
      `Minutes are kept from ${new Date(fromMs).toISOString()} on; ask for whole UTC hours or days before that.`,
      { at: 'from' },
    )
  }
}
