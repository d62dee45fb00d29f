import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from './limits.ts'

const ZERO = 48
const DATE_CHARS = 10
const TIME_CHARS = 8
/** The shortest whole text: `2026-11-21T04:00:00Z`. */
const CHARS_MIN = DATE_CHARS + 1 + TIME_CHARS + 1
/** 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z: what four digits of a year can say. */
const FIRST_MS = -62_167_219_200_000
const LAST_MS = 253_402_300_799_999

/** The date that was read last: most instants that arrive together are of one day. */
let lastDate = -1
let lastDateMs = 0

/**
 * Reads a date-time of RFC 3339 section 5.6 with its offset and answers milliseconds since the epoch, or
 * `undefined` where the text is anything else: a date that no calendar has, a missing offset, a space
 * instead of the `T`. Digits past the millisecond are cut off. `-00:00` is taken as UTC (section 4.3).
 *
 * A leap second (`23:59:60` UTC on the last day of a month) reads as the last millisecond before it, since
 * the epoch has no place for it: the event then stays in the minute in which it happened.
 */
export function parseInstant(text: string): number | undefined {
  const { length } = text
  if (length < CHARS_MIN) return undefined
  const letter = text.charCodeAt(DATE_CHARS) | 32
  if (letter !== 116 || text.charCodeAt(4) !== 45 || text.charCodeAt(7) !== 45) return undefined
  if (text.charCodeAt(13) !== 58 || text.charCodeAt(16) !== 58) return undefined
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const date = year * 10_000 + twoDigits(text, 5) * 100 + twoDigits(text, 8)
  const hour = twoDigits(text, 11)
  const minute = twoDigits(text, 14)
  const second = twoDigits(text, 17)
  if (!(year >= 0 && hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second <= 60)) {
    return undefined
  }
  if (date !== lastDate) {
    const dateMs = dateToMs(year, twoDigits(text, 5), twoDigits(text, 8))
    if (dateMs === undefined) return undefined
    lastDate = date
    lastDateMs = dateMs
  }
  const dayMs = lastDateMs
  let at = DATE_CHARS + 1 + TIME_CHARS
  let fractionMs = 0
  if (text.charCodeAt(at) === 46) {
    const from = at + 1
    at = digitsEnd(text, from)
    if (at === from) return undefined
    fractionMs = milliseconds(text, from, at)
  }
  const offsetMs = parseOffset(text, at)
  if (offsetMs === undefined) return undefined
  const minuteMs = dayMs + hour * HOUR_MS + minute * MINUTE_MS - offsetMs
  if (second < 60) return minuteMs + second * SECOND_MS + fractionMs
  return endsMonth(minuteMs) ? minuteMs + MINUTE_MS - 1 : undefined
}

/** So low that a date with it in any place is negative, and still a small integer for the engine. */
const NO_NUMBER = -100_000_000

/** The number of two decimal digits, or NO_NUMBER. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - ZERO
  const ones = text.charCodeAt(at + 1) - ZERO
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : NO_NUMBER
}

function digitsEnd(text: string, from: number): number {
  let at = from
  while (at < text.length) {
    const digit = text.charCodeAt(at) - ZERO
    if (digit < 0 || digit > 9) break
    at++
  }
  return at
}

function milliseconds(text: string, from: number, end: number): number {
  let value = 0
  for (let at = from; at < from + 3; at++) value = value * 10 + (at < end ? text.charCodeAt(at) - ZERO : 0)
  return value
}

/** `Z` or `±hh:mm`, and nothing after it. */
function parseOffset(text: string, at: number): number | undefined {
  const sign = text.charCodeAt(at)
  if ((sign | 32) === 122) return text.length === at + 1 ? 0 : undefined
  if (sign !== 43 && sign !== 45) return undefined
  if (text.length !== at + 6 || text.charCodeAt(at + 3) !== 58) return undefined
  const hours = twoDigits(text, at + 1)
  const minutes = twoDigits(text, at + 4)
  if (!(hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60)) return undefined
  const offsetMs = hours * HOUR_MS + minutes * MINUTE_MS
  return sign === 43 ? offsetMs : -offsetMs
}

/** Whether this is the start of the last UTC minute of a month; no other minute ever had a leap second. */
function endsMonth(minuteMs: number): boolean {
  return new Date(minuteMs + MINUTE_MS).getUTCDate() === 1 && (minuteMs + MINUTE_MS) % DAY_MS === 0
}

/** Milliseconds of the date's first instant in UTC, proleptic Gregorian; undefined if there is no such date. */
function dateToMs(year: number, month: number, day: number): number | undefined {
  if (!(month >= 1 && month <= 12 && day >= 1)) return undefined
  const date = new Date(0)
  // Unlike Date.UTC this takes the years 0 to 99 as they are.
  date.setUTCFullYear(year, month - 1, day)
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined
}

let lastFormattedMs = Number.NaN
let lastFormatted = ''

/**
 * An instant as RFC 3339 in UTC with milliseconds, `2026-11-21T04:00:00.000Z`. Many readings are of the same
 * millisecond, so the last text is kept. Throws a RangeError outside the years 0000 to 9999, which the
 * format can't say.
 */
export function formatInstant(ms: number): string {
  if (ms !== lastFormattedMs) {
    assertFormattable(ms)
    lastFormatted = new Date(ms).toISOString()
    lastFormattedMs = ms
  }
  return lastFormatted
}

/**
 * The same instant told by a clock that is `offsetMinutes` ahead of UTC, in whole seconds:
 * `2026-11-21T05:00:00+01:00`, or with `Z` where the offset is 0. Errors as for formatInstant.
 */
export function formatLocal(ms: number, offsetMinutes: number): string {
  const localMs = ms + offsetMinutes * MINUTE_MS
  assertFormattable(localMs)
  const wall = new Date(localMs).toISOString().slice(0, DATE_CHARS + 1 + TIME_CHARS)
  return wall + formatOffset(offsetMinutes)
}

function formatOffset(offsetMinutes: number): string {
  if (offsetMinutes === 0) return 'Z'
  const size = Math.abs(offsetMinutes)
  const hours = String(Math.floor(size / 60)).padStart(2, '0')
  const minutes = String(size % 60).padStart(2, '0')
  return `${offsetMinutes < 0 ? '-' : '+'}${hours}:${minutes}`
}

function assertFormattable(ms: number): void {
  if (!(ms >= FIRST_MS && ms <= LAST_MS)) throw new RangeError(`No RFC 3339 date-time for ${ms} ms`)
}
