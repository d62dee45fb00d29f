import type { IdGap } from './counting.ts'
import type { Answer, JournalRow, LedgerTotals } from './memtable.ts'

/** What folding a key needs: its absolute value, and the deltas of its minutes. */
export interface FoldedKey {
  readonly counterId: number
  readonly key: string
  readonly value: number
  readonly version: number
  /** minute, delta, minute, delta, … */
  readonly minutes: number[]
}

/** A part of a frozen memtable, applied in one transaction. */
export interface Slice {
  readonly through: number
  /** How many entries of the memtable are in the tables after this slice. */
  readonly done: number
  readonly keys: FoldedKey[]
  /** In the order of the time they carry. */
  readonly ids: Uint8Array
  /** Ids that carry a time strictly between these go into blocks: nothing is stored there yet. */
  readonly blockRange: IdGap
  readonly answers: Answer[]
  readonly atS: number
  /** Minutes before this one are past their retention and not stored. */
  readonly minuteFrom: number
  /** With the last slice: the ledger as of `through`, and the moment around which to look for the id gap. */
  readonly last?: { readonly ledger: [string, LedgerTotals][]; readonly gapAroundMs: number }
}

export interface PurgeRequest {
  /** Ids that came before are forgotten; seconds since the epoch. */
  readonly seenBeforeS: number
  /** Minutes of hours before this one are removed; undefined keeps all. */
  readonly hourBefore: number | undefined
  /** Where the walk through the ids stands; empty at the start. */
  readonly after: Uint8Array
  readonly rowsMax: number
}

export interface PurgeProgress {
  readonly removed: number
  /** Where to go on; undefined when the walk is through. */
  readonly after: Uint8Array | undefined
}

/** Every call of the writer thread: its argument and its answer. */
export interface WriterCalls {
  /** Appends to the journal; durable when answered. New counters come with the first batch that names them. */
  commit: [{ row: JournalRow; counters: [id: number, name: string, wholeSeries: boolean][] }, undefined]
  /** Moves a slice into the tables. Not synced by itself: until it is, the journal still has it all. */
  fold: [Slice, IdGap | undefined]
  purge: [PurgeRequest, PurgeProgress]
  addKey: [{ id: string; name: string; scopes: string; hash: string; createdMs: number }, undefined]
  revokeKey: [{ id: string }, boolean]
  setMeta: [{ name: string; value: string }, undefined]
  close: [undefined, undefined]
}
