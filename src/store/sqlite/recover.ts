import type { DatabaseSync } from 'node:sqlite'
import type { Position } from '../../core/position.ts'
import { CounterRegistry } from './counter-registry.ts'
import { Counting, NO_GAP, NO_IDS } from './counting.ts'
import type { LedgerTotals } from './memtable.ts'
import { Memtable } from './memtable.ts'
import { readState, type TableReads } from './tables.ts'

/** A store as it stood at its last durable batch. */
export interface Recovered {
  readonly counting: Counting
  readonly counters: CounterRegistry
  readonly seq: number
  readonly foldedThrough: number
  /** How many entries of the frozen memtable are in the tables already. */
  readonly done: number
}

/**
 * Counts the journal's rows again. Rows up to `fold.through` of a fold that was cut off become the frozen
 * memtable, which goes on after its first `fold.done` entries; the others become the active one.
 */
export function recover(
  db: DatabaseSync,
  tables: TableReads,
  options: { keepsSeries: (counter: string) => boolean; position: (seq: number) => Position },
): Recovered {
  const state = readState(db)
  // The tables know which counters keep a series without a gap; one that no longer does is marked for good.
  const counters = new CounterRegistry(state.counters, options.keepsSeries)
  for (const { id, name, keepsSeries } of state.counters) {
    if (keepsSeries && !options.keepsSeries(name)) {
      db.prepare('UPDATE counter SET whole_series = 0 WHERE id = ?').run(id)
    }
  }
  const isCutOff = state.fold.done >= 0
  const frozen = new Memtable()
  const active = new Memtable()
  let ledger = state.ledger
  let seq = state.fold.through
  for (const row of state.journal) {
    const table = isCutOff && row.seq <= state.fold.through ? frozen : active
    table.replay(row, (id) => counters.withId(id))
    ledger = new Map(JSON.parse(row.ledger) as [string, LedgerTotals][])
    seq = row.seq
  }
  const counting = new Counting(tables, (name) => counters.get(name), {
    ledger,
    // Nothing is known of the gap yet: until the first fold every id is looked up.
    gap: tables.isWithoutIds() ? NO_IDS : NO_GAP,
    position: options.position,
  })
  counting.active = active
  if (isCutOff) counting.frozen = frozen
  return {
    counting,
    counters,
    seq,
    foldedThrough: isCutOff ? 0 : state.fold.through,
    done: isCutOff ? state.fold.done : 0,
  }
}
