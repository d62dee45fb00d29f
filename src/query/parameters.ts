import type { Access } from '../core/access.ts'
import type { Counter, Counters } from '../core/counter.ts'
import { shown, TallyError } from '../core/errors.ts'
import { textFlaw } from '../core/key-text.ts'
import { DAY_MS, KEY_CHARS_MAX, SECOND_MS, WAIT_TIMEOUT_MS_MAX } from '../core/limits.ts'
import type { TimeRange } from '../core/reading.ts'
import { parseInstant } from '../core/rfc3339.ts'
import { type TimeZone, timeZone } from '../core/time-zone.ts'

const COUNTERS_SHOWN_MAX = 10
/** A day before the epoch, since the first day of 1970 begins earlier in the east. */
const INSTANT_MS_MIN = -DAY_MS
/** Leaves room for the outer windows and for every zone's offset inside the years that RFC 3339 can write. */
const INSTANT_MS_MAX = Date.UTC(9999, 0, 1)

/** The declared counter of this name. Throws `unknown_counter`. */
export function declaredCounter(counters: Counters, name: string): Counter {
  const counter = counters.get(name)
  if (counter !== undefined) return counter
  throw new TallyError('unknown_counter', 'This counter is not declared', {
    at: 'counter',
    expected: `one of ${[...counters.keys()].slice(0, COUNTERS_SHOWN_MAX).join(', ')}`,
    got: shown(name),
  })
}

/** As declaredCounter, of those that keep a series. Throws `no_series` too. */
export function seriesCounter(counters: Counters, name: string): Counter {
  const counter = declaredCounter(counters, name)
  if (counter.series !== 'none') return counter
  throw new TallyError('no_series', `The counter ${name} keeps values only`, { at: 'counter' })
}

/** Throws `invalid_parameter` for what can't be a key. */
export function assertKey(key: string, at: string): void {
  const flaw = textFlaw(key, KEY_CHARS_MAX)
  if (flaw === undefined) return
  throw new TallyError('invalid_parameter', `The key ${flaw}`, {
    at,
    expected: `1 to ${KEY_CHARS_MAX} characters without control characters`,
    got: shown(key),
  })
}

/** Throws `forbidden`; `key` undefined asks for all keys of the counter. */
export function assertMayRead(access: Access, counter: string, key: string | undefined): void {
  if (access.mayRead(counter, key)) return
  throw new TallyError('forbidden', 'This key or token does not allow reading this', {
    at: key === undefined ? 'counter' : 'key',
    got: shown(key ?? counter),
  })
}

/** Throws `invalid_parameter` for a parameter that the route does not know; a misspelt one must not go unseen. */
export function refuseUnknown(query: object, known: readonly string[]): void {
  for (const name in query) {
    if (known.includes(name)) continue
    throw new TallyError('invalid_parameter', 'There is no such parameter here', {
      at: name.slice(0, 80),
      expected: `one of ${known.join(', ')}`,
    })
  }
}

/** An instant of RFC 3339 between 1970 and 9998, milliseconds since the epoch. Throws `invalid_parameter`. */
export function readInstant(text: string, at: string): number {
  const ms = parseInstant(text)
  if (ms !== undefined && ms >= INSTANT_MS_MIN && ms < INSTANT_MS_MAX) return ms
  // A plus sign that was not percent-encoded arrives as a space.
  const hint = /\d \d\d:\d\d$/.test(text) ? ', its + written as %2B' : ''
  throw new TallyError('invalid_parameter', `${at} is not an instant`, {
    at,
    expected:
      ms === undefined
        ? `a date-time of RFC 3339 with its offset, such as 2026-11-21T04:00:00Z${hint}`
        : 'an instant of the years 1970 to 9998',
    got: shown(text),
  })
}

/** A half-open range that is not empty. Throws `invalid_parameter`. */
export function assertRange({ fromMs, toMs }: TimeRange, names: { from: string; to: string }): void {
  if (fromMs < toMs) return
  throw new TallyError('invalid_parameter', `The range is empty, since ${names.to} is excluded from it`, {
    at: names.to,
    expected: `an instant after ${names.from}`,
  })
}

/** Throws `invalid_parameter`. */
export function readZone(name: string): TimeZone {
  const zone = timeZone(name)
  if (zone !== undefined) return zone
  throw new TallyError('invalid_parameter', 'There is no such time zone', {
    at: 'tz',
    expected: 'a name of the IANA database such as Europe/Berlin, or UTC',
    got: shown(name),
  })
}

const TIMEOUT = /^(\d{1,5})(ms|s)$/

/** `250ms` or `5s`, at most WAIT_TIMEOUT_MS_MAX, in milliseconds. Throws `invalid_parameter`. */
export function readTimeout(text: string): number {
  const [, digits, unit] = TIMEOUT.exec(text) ?? []
  const timeoutMs = Number(digits) * (unit === 's' ? SECOND_MS : 1)
  if (timeoutMs <= WAIT_TIMEOUT_MS_MAX) return timeoutMs
  throw new TallyError('invalid_parameter', 'timeout is not such a duration', {
    at: 'timeout',
    expected: `a whole number of ms or s, such as 5s, at most ${WAIT_TIMEOUT_MS_MAX / SECOND_MS}s`,
    got: shown(text),
  })
}
