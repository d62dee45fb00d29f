import type { Applied, Batch, LedgerLine } from '../core/batch.ts'
import type { Position } from '../core/position.ts'
import type { Bucket, Ranked, ReadingPage, TimeRange } from '../core/reading.ts'

/** Which readings to answer: the named keys in their order, or a page in the order of keys (by code point). */
export type KeySelection =
  | { readonly keys: readonly string[] }
  | { readonly after: string | undefined; readonly limit: number }

/** The width of the stored buckets to read. All buckets start at whole UTC hours or days. */
export type Resolution = 'minute' | 'hour' | 'day'

/** A part of a range read at one resolution; the range starts and ends at whole buckets of it. */
export interface Span extends TimeRange {
  readonly resolution: Resolution
}

/**
 * The truth. Everything that is counted goes through `apply`, and exactly-once follows from it alone.
 * Every reading method answers from one moment: it contains all batches up to its position and nothing else.
 */
export interface Store {
  /**
   * Applies a batch in one transaction: values, series, seen ids, stored answers, ledger. When it resolves,
   * the batch is durable (fsynced); when it rejects, nothing of it was counted.
   * One batch at a time: the caller waits for the answer before the next.
   */
  apply(batch: Batch): Promise<Applied>
  /** Absolute values; keys never counted read 0. */
  readings(counter: string, selection: KeySelection): Promise<ReadingPage>
  /** The keys with the highest values, highest first, ties by key; of a range, from the series. */
  top(counter: string, options: { limit: number; spans?: readonly Span[] }): Promise<Ranked[]>
  /**
   * The non-empty stored buckets of one key inside the spans, ascending per span. Spans don't overlap.
   * Rejects with `resolution_expired` where a span needs minutes that were purged.
   */
  series(counter: string, key: string, spans: readonly Span[]): Promise<Bucket[]>
  /** The durable part of the ledger; `pending` is 0 here. */
  ledger(): Promise<LedgerLine[]>
  /** Every batch up to here is durable and contained in readings. Throws `position_unknown` through `reached`. */
  readonly positions: Positions
}

/** The driver's own order of positions. */
export interface Positions {
  current(): Position
  /** Whether `position` is contained in readings now. Throws `position_unknown` for one of another store. */
  reached(position: string): boolean
}

/** An API key as the store keeps it: never the secret, only its hash. */
export interface StoredKey {
  readonly id: string
  readonly name: string
  readonly scopes: readonly string[]
  /** SHA-256 of the secret, hex. */
  readonly hash: string
  readonly createdMs: number
}

/** API keys. Changes are durable when the promise resolves. */
export interface KeyStore {
  add(key: StoredKey): Promise<void>
  list(): Promise<StoredKey[]>
  /** True if there was such a key. */
  revoke(id: string): Promise<boolean>
}

export interface StoreHealth {
  /** `ok`, or the code of the error that keeps the store from taking writes. */
  readonly state: 'ok' | 'store_full' | 'store_failed'
  readonly message?: string
  /** Numbers for metrics, by name with unit: `wal_bytes`, `journal_rows`, `fold_pending_keys`, … */
  readonly gauges: Readonly<Record<string, number>>
}

/** What keeps the store in shape; none of it stalls `apply` for more than a few milliseconds. */
export interface Upkeep {
  health(): StoreHealth
  /** Forgets seen ids, stored answers and minutes past their retention; resolves with the rows removed. */
  purge(nowMs: number): Promise<number>
  /** Writes a consistent copy to a new file while intake goes on; durable when it resolves. */
  backup(file: string): Promise<void>
  /** Full check: the file's pages, and values against series. Resolves with what is wrong, empty if nothing. */
  check(): Promise<string[]>
}

export interface OpenStore {
  readonly store: Store
  readonly keys: KeyStore
  readonly upkeep: Upkeep
  /** Leaves a note where this store is served, for whoever finds it locked. */
  announce(url: string): Promise<void>
  /** Waits for what is being applied, then closes; further calls reject with `shutting_down`. */
  close(): Promise<void>
}

export interface StoreOptions {
  readonly seenRetentionMs: number
  readonly minuteRetentionMs: number
  /** The clock, milliseconds since the epoch. */
  readonly now: () => number
  /** Which of the counters keep a series. */
  readonly keepsSeries: (counter: string) => boolean
  /** Called on states an operator has to see; fields, not sentences. */
  readonly log: (event: string, fields: Record<string, unknown>) => void
}
