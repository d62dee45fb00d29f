import type { Span } from '../store.ts'

/** A cell's deltas that the tables may lack: which ones they lack is judged by the reader's snapshot. */
export interface UnfoldedMinutes {
  readonly key: string
  /** Number in the frozen memtable; -1 for the active one. */
  readonly index: number
  /** minute, delta, … */
  readonly minutes: number[]
}

/** What stood in the memtables when a read was sent. */
export interface Overlay {
  /** The batch that the frozen memtable ends with; 0 when there is none. */
  readonly frozenThrough: number
  /** The last batch whose fold was complete. */
  readonly foldedThrough: number
  readonly cells: UnfoldedMinutes[]
}

export interface SeriesRequest {
  readonly counterId: number
  readonly key: string
  readonly spans: readonly Span[]
  readonly overlay: Overlay
}

export interface TopRequest {
  readonly counterId: number
  readonly spans: readonly Span[]
  readonly limit: number
  readonly overlay: Overlay
}

/** `stale`: the fold went on between the overlay and the snapshot; ask again with a new overlay. */
export type Fresh<Result> = Result | 'stale'

/** Every call of the reader thread: its argument and its answer. */
export interface ReaderCalls {
  /** Start in milliseconds, count, … */
  series: [SeriesRequest, Fresh<Float64Array>]
  top: [TopRequest, Fresh<{ key: string; value: number }[]>]
  backup: [{ file: string }, undefined]
  check: [undefined, string[]]
  close: [undefined, undefined]
}
