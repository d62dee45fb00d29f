import type { CountEvent } from '../core/batch.ts'
import type { Counters } from '../core/counter.ts'
import { type ErrorCode, type ErrorDetail, shown, TallyError } from '../core/errors.ts'
import { textFlaw } from '../core/key-text.ts'
import { DELTA_MAX, EVENT_ID_CHARS_MAX, KEY_CHARS_MAX, TIME_AHEAD_MS_MAX } from '../core/limits.ts'
import { parseInstant } from '../core/rfc3339.ts'
import { type Path, type Place, pointer } from './json-check.ts'
import { nearestNames } from './nearest-names.ts'

/** What events are judged by, for one request. */
export interface EventRules {
  readonly counters: Counters
  /** When the request arrived, milliseconds since the epoch: the time of events that name none. */
  readonly nowMs: number
}

/** Where a value stands in its request, for errors. */
export interface Spot {
  readonly path: Path
  readonly place: Place
  /** `invalid_cloudevent` where the value is a part of one. */
  readonly code?: ErrorCode
  /** The name of the path parameter, where the value is one. */
  readonly parameter?: string
}

export const EVENT_MEMBERS: ReadonlySet<string> = new Set(['counter', 'key', 'delta', 'id', 'time'])

/**
 * Reads one event that JSON.parse made of a text that checkJson passed. Throws `invalid_event` or
 * `unknown_counter`, with the place, the index in a batch, what was expected and what stood there.
 */
export function readEvent(value: unknown, rules: EventRules, spot: Spot): CountEvent {
  const members = readMembers(value, EVENT_MEMBERS, spot)
  return {
    counter: readCounter(members.counter, rules.counters, inside(spot, 'counter')),
    key: readText(members.key, KEY_CHARS_MAX, inside(spot, 'key')),
    delta: readDelta(members.delta, inside(spot, 'delta')),
    timeMs: readTime(members.time, rules, inside(spot, 'time')),
    id: members.id === undefined ? undefined : readText(members.id, EVENT_ID_CHARS_MAX, inside(spot, 'id')),
  }
}

/** The members of an object, all of them among the allowed ones. */
export function readMembers(
  value: unknown,
  allowed: ReadonlySet<string>,
  spot: Spot,
): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw invalid('This is not an object', 'an object', value, spot)
  for (const name of Object.keys(value)) {
    if (!allowed.has(name)) {
      const expected = `only ${[...allowed].join(', ')}`
      throw invalid('An unknown member', expected, name, inside(spot, name))
    }
  }
  return value
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function readCounter(value: unknown, counters: Counters, spot: Spot): string {
  if (typeof value !== 'string')
    throw invalid('The counter is no string', 'the name of a counter', value, spot)
  const counter = counters.get(value)
  if (counter !== undefined) return counter.name
  throw new TallyError('unknown_counter', 'This counter is not declared', {
    ...detailOf(spot),
    expected: `one of ${nearestNames(value, [...counters.keys()]).join(', ')}`,
    got: shown(value),
  })
}

/** A key or an id. */
export function readText(value: unknown, charsMax: number, spot: Spot): string {
  const expected = `a string of 1 to ${charsMax} characters without control characters`
  if (typeof value !== 'string') throw invalid('This is no string', expected, value, spot)
  const flaw = textFlaw(value, charsMax)
  if (flaw !== undefined) throw invalid(`The string ${flaw}`, expected, value, spot)
  return value
}

export function readDelta(value: unknown, spot: Spot): number {
  if (value === undefined) return 1
  if (isDelta(value)) return value === 0 ? 0 : value
  const expected = `a whole number from ${-DELTA_MAX} to ${DELTA_MAX}`
  throw invalid('The delta is not such a number', expected, value, spot)
}

function isDelta(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) <= DELTA_MAX && (value as number) >= -DELTA_MAX
}

export function readTime(value: unknown, rules: EventRules, spot: Spot): number {
  if (value === undefined) return rules.nowMs
  const timeMs = typeof value === 'string' ? parseInstant(value) : undefined
  if (timeMs === undefined) {
    throw invalid('The time is not an instant', 'a date-time of RFC 3339 with its offset', value, spot)
  }
  if (!isCountable(timeMs, rules)) {
    const lastMs = rules.nowMs + TIME_AHEAD_MS_MAX
    const expected = `from 1970-01-01T00:00:00Z to ${new Date(lastMs).toISOString()}, a day ahead of now`
    throw invalid('The time is out of range', expected, value, spot)
  }
  return timeMs
}

function isCountable(timeMs: number, rules: EventRules): boolean {
  return timeMs >= 0 && timeMs <= rules.nowMs + TIME_AHEAD_MS_MAX
}

export function inside(spot: Spot, name: string): Spot {
  return { ...spot, path: [...spot.path, name] }
}

export function invalid(message: string, expected: string, got: unknown, spot: Spot): TallyError {
  const found = got === undefined ? 'nothing' : shown(got)
  return new TallyError(spot.code ?? 'invalid_event', message, { ...detailOf(spot), expected, got: found })
}

function detailOf({ path, place, parameter }: Spot): ErrorDetail {
  if (parameter !== undefined) return { at: parameter }
  const index = place.index ?? path[0]
  return { at: pointer(path, place), ...(typeof index === 'number' ? { index } : {}) }
}

/** The members an event may have, unread. */
interface RawEvent {
  readonly counter?: unknown
  readonly key?: unknown
  readonly delta?: unknown
  readonly id?: unknown
  readonly time?: unknown
}

/** Two names and two values, each between two quotation marks. */
const QUOTES_OF_COUNTER_AND_KEY = 8
const QUOTES_OF_NAME = 2
const QUOTES_OF_NAME_AND_STRING = 4

/**
 * Reads events as fast as can be, or gives up with `undefined`: then readEvent finds out why. It takes nothing
 * that readEvent would refuse.
 *
 * `quotes` is how many quotation marks their text has. The members read here account for two for each name
 * and each string; if those are all, the text had no others: no unknown member, no second member of a name
 * that JSON.parse dropped, nothing nested, nothing escaped. That spares a walk over the members. Where
 * `printable`, the characters of strings need no look either (see JsonText).
 */
export function readEventsFast(
  values: readonly unknown[],
  rules: EventRules,
  proof: { readonly quotes: number; readonly printable: boolean },
): CountEvent[] | undefined {
  const events: CountEvent[] = []
  const isText = proof.printable ? isShortText : isSoundText
  let rest = proof.quotes
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (typeof value !== 'object' || value === null) return undefined
    const { counter, key, delta, id, time } = value as RawEvent
    const declared = typeof counter === 'string' ? rules.counters.get(counter) : undefined
    if (declared === undefined || !isText(key, KEY_CHARS_MAX)) return undefined
    rest -= QUOTES_OF_COUNTER_AND_KEY
    if (delta !== undefined) {
      if (!isDelta(delta)) return undefined
      rest -= QUOTES_OF_NAME
    }
    if (id !== undefined) {
      if (!isText(id, EVENT_ID_CHARS_MAX)) return undefined
      rest -= QUOTES_OF_NAME_AND_STRING
    }
    let timeMs = rules.nowMs
    if (time !== undefined) {
      const parsedMs = typeof time === 'string' ? parseInstant(time) : undefined
      if (parsedMs === undefined || !isCountable(parsedMs, rules)) return undefined
      timeMs = parsedMs
      rest -= QUOTES_OF_NAME_AND_STRING
    }
    // Adding 0 makes a zero of minus zero. The declared name is one string, where each parsed one is a copy.
    const change = delta === undefined ? 1 : delta + 0
    events.push({ counter: declared.name, key, delta: change, timeMs, id })
  }
  return rest === 0 ? events : undefined
}

function isShortText(value: unknown, charsMax: number): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= charsMax
}

function isSoundText(value: unknown, charsMax: number): value is string {
  return typeof value === 'string' && textFlaw(value, charsMax) === undefined
}
