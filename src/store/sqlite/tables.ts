import type { DatabaseSync } from 'node:sqlite'
import type { StoredKey } from '../store.ts'
import type { Tables } from './counting.ts'
import type { Answer, JournalRow, LedgerTotals } from './memtable.ts'
import { SeenReader } from './seen-reader.ts'
import type { Versioned } from './value-cache.ts'

/** A key's row, as pages and tops need it. */
export interface KeyRow extends Versioned {
  readonly key: string
}

/** The short reads, on a connection of the main thread: one statement each, microseconds. */
export class TableReads implements Tables {
  private readonly statements
  private readonly ids: SeenReader

  constructor(db: DatabaseSync) {
    this.ids = new SeenReader(db)
    this.statements = {
      value: db.prepare('SELECT value, version FROM key WHERE counter = ? AND name = ?'),
      answer: db.prepare('SELECT * FROM answer WHERE key = ?'),
      page: db.prepare(
        'SELECT name AS key, value, version FROM key WHERE counter = ? AND name > ? ORDER BY name LIMIT ?',
      ),
      highest: db.prepare(
        'SELECT name AS key, value, version FROM key WHERE counter = ? ORDER BY value DESC',
      ),
      keys: db.prepare('SELECT * FROM api_key ORDER BY created, id'),
    }
  }

  value(counterId: number, key: string): Versioned | undefined {
    return this.statements.value.get(counterId, key) as unknown as Versioned | undefined
  }

  answer(key: string): Answer | undefined {
    const row = this.statements.answer.get(key)
    if (row === undefined) return undefined
    const { at, ...rest } = row
    return { ...rest, atS: at } as unknown as Answer
  }

  seen(ids: Uint8Array): number[] {
    return this.ids.seen(ids)
  }

  refresh(): void {
    this.ids.refresh()
  }

  isWithoutIds(): boolean {
    return this.ids.isEmpty()
  }

  page(counterId: number, after: string | undefined, limit: number): KeyRow[] {
    return this.statements.page.all(counterId, after ?? '', limit) as unknown as KeyRow[]
  }

  /** Keys from the highest value down, as long as the caller takes them; equal values in no order. */
  highest(counterId: number): Iterable<KeyRow> {
    return this.statements.highest.iterate(counterId) as unknown as Iterable<KeyRow>
  }

  apiKeys(): StoredKey[] {
    return this.statements.keys.all().map((row) => ({
      id: String(row.id),
      name: String(row.name),
      scopes: String(row.scopes).split(' '),
      hash: String(row.hash),
      createdMs: Number(row.created),
    }))
  }
}

/** What is read once, when the store is opened. */
export interface StoredState {
  /** `keepsSeries`: its series is whole, from the first event on. */
  readonly counters: { id: number; name: string; keepsSeries: boolean }[]
  readonly ledger: Map<string, LedgerTotals>
  readonly fold: { readonly through: number; readonly done: number }
  readonly journal: Iterable<JournalRow>
}

export function readState(db: DatabaseSync): StoredState {
  const ledger = new Map<string, LedgerTotals>()
  for (const row of db.prepare('SELECT * FROM ledger').all()) {
    const { stream, ...totals } = row
    ledger.set(String(stream), totals as unknown as LedgerTotals)
  }
  return {
    counters: db
      .prepare('SELECT id, name, whole_series FROM counter')
      .all()
      .map((row) => ({
        id: Number(row.id),
        name: String(row.name),
        keepsSeries: row.whole_series === 1,
      })),
    ledger,
    fold: db.prepare('SELECT through, done FROM fold').get() as unknown as StoredState['fold'],
    journal: db
      .prepare('SELECT seq, at AS atS, cells, ids, answers, ledger, crc FROM journal ORDER BY seq')
      .iterate() as unknown as Iterable<JournalRow>,
  }
}
