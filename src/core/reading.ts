import type { Position } from './position.ts'

/** A value and what is needed to judge it. A key that was never counted reads 0 at version 0. */
export interface Reading {
  readonly counter: string
  readonly key: string
  readonly value: number
  /** Grows with every change of this key; a higher version is a later value. */
  readonly version: number
  /** Everything up to this position is contained in the value. */
  readonly position: Position
  /** When the value was known to be current, milliseconds since the epoch. */
  readonly asOfMs: number
}

/** The count of one bucket of a series; `startMs` is its first instant, milliseconds since the epoch. */
export interface Bucket {
  readonly startMs: number
  readonly count: number
}

/** A half-open range of instants, milliseconds since the epoch, whole minutes. */
export interface TimeRange {
  readonly fromMs: number
  readonly toMs: number
}

/** A page of readings in the order of their keys. */
export interface ReadingPage {
  readonly readings: Reading[]
  /** The last key of this page if another page follows. */
  readonly nextAfter?: string
}

/** A key and what it counted in a range. */
export interface Ranked {
  readonly key: string
  readonly value: number
}
