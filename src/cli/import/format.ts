import { textFlaw } from '../../core/key-text.ts'
import { DELTA_MAX, KEY_CHARS_MAX, TIME_AHEAD_MS_MAX } from '../../core/limits.ts'
import { parseInstant } from '../../core/rfc3339.ts'

export type ImportFormat = 'combined' | 'ndjson' | 'csv'

export const IMPORT_FORMATS: readonly ImportFormat[] = ['combined', 'ndjson', 'csv']

/** Which parts of a record make the event. */
export interface Fields {
  /** The counter; undefined reads it from the record. */
  readonly counter: string | undefined
  readonly key: string
  readonly time: string | undefined
  readonly delta: string | undefined
}

/** What a record says, as far as an event needs it. */
export interface Found {
  readonly counter: string
  readonly key: string
  readonly delta: number
  /** Undefined where the record has no time: the server's clock then tells it. */
  readonly timeMs: number | undefined
  /** Undefined where the record has no id of its own. */
  readonly id: string | undefined
}

/** One record of a file: what was found in it, or why nothing was. */
export interface ImportRecord {
  /** Line on which it ends, from 1. */
  readonly line: number
  /** Its text, unchanged: from this its id is made. */
  readonly raw: string
  readonly found: Found | undefined
  readonly flaw?: string
}

/** Why a record is skipped; thrown by what reads it, caught by readRecord. */
export class Flaw extends Error {}

/** Reads a record and turns a Flaw into the reason for skipping it. */
export function readRecord(line: number, raw: string, read: (raw: string) => Found): ImportRecord {
  try {
    return { line, raw, found: read(raw) }
  } catch (error) {
    if (!(error instanceof Flaw)) throw error
    return { line, raw, found: undefined, flaw: error.message }
  }
}

/** A key as the server takes it. */
export function keyOf(text: string): string {
  const flaw = textFlaw(text, KEY_CHARS_MAX)
  if (flaw !== undefined) throw new Flaw(`the key ${flaw}`)
  return text
}

/** A delta from a number or from text. */
export function deltaOf(value: unknown): number {
  const number = typeof value === 'string' && /^[+-]?\d{1,15}$/.test(value.trim()) ? Number(value) : value
  if (typeof number === 'number' && Number.isInteger(number) && Math.abs(number) <= DELTA_MAX)
    return number + 0
  throw new Flaw(`the delta is not a whole number of at most ${DELTA_MAX}`)
}

/** Numbers of seconds have up to 11 digits until the year 5138; milliseconds have 12 from 1973 on. */
const SECONDS_DIGITS_MAX = 11

/** A time from RFC 3339, or from seconds or milliseconds since the epoch. */
export function timeOf(value: unknown): number {
  const text = String(value).trim()
  const number = /^\d{1,15}$/.test(text) ? Number(text) : undefined
  const timeMs =
    number === undefined ? parseInstant(text) : text.length <= SECONDS_DIGITS_MAX ? number * 1_000 : number
  if (timeMs === undefined)
    throw new Flaw('the time is neither RFC 3339 nor seconds or milliseconds since the epoch')
  return countableTime(timeMs)
}

/** Refuses times that the server refuses. */
export function countableTime(timeMs: number): number {
  if (timeMs >= 0 && timeMs <= Date.now() + TIME_AHEAD_MS_MAX) return timeMs
  throw new Flaw('the time is before 1970 or more than a day ahead')
}
