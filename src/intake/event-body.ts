import type { CountEvent } from '../core/batch.ts'
import { TallyError } from '../core/errors.ts'
import { EVENT_ID_CHARS_MAX, EVENTS_PER_REQUEST_MAX } from '../core/limits.ts'
import {
  EVENT_MEMBERS,
  type EventRules,
  readDelta,
  readEvent,
  readEventsFast,
  readMembers,
  readText,
  readTime,
} from './event.ts'
import { checkJson, type Place } from './json-check.ts'
import { countQuotes, decodeJson } from './json-text.ts'

/** What is known of a request before it is read to its end; kept for the ledger if it is refused. */
export interface Arrival extends EventRules {
  /** How many events it holds: 1 until the body tells. */
  events: number
}

/** Five names and four strings an event, at most. More quotation marks than that are no batch of events. */
const QUOTES_MAX = EVENTS_PER_REQUEST_MAX * 18
const OPENING_BRACKET = 0x5b
const OPENING_BRACE = 0x7b

/**
 * Reads a body of one event or an array of them. An empty array is a batch of none.
 * Errors: those of decodeJson, checkJson and readEvent; `too_many_events`.
 */
export function readEvents(body: Buffer, arrival: Arrival): CountEvent[] {
  const { text, printable } = decodeJson(body)
  const quotes = nestsArrays(body) ? Number.POSITIVE_INFINITY : countQuotes(body)
  if (quotes <= QUOTES_MAX) {
    const value = parsed(text)
    const values: readonly unknown[] = Array.isArray(value) ? value : [value]
    const isBatch = values.length <= EVENTS_PER_REQUEST_MAX
    const events = isBatch ? readEventsFast(values, arrival, { quotes, printable }) : undefined
    if (events !== undefined) return events
  }
  checkJson(text)
  const value: unknown = JSON.parse(text)
  if (!Array.isArray(value)) return [readEvent(value, arrival, { path: [], place: {} })]
  countEvents(value.length, arrival)
  return value.map((item, index) => readEvent(item, arrival, { path: [index], place: {} }))
}

/** Whether a second array begins anywhere: JSON.parse alone would follow a million of them into each other. */
function nestsArrays(body: Buffer): boolean {
  const first = body.indexOf(OPENING_BRACKET)
  if (first === -1) return false
  return body[0] === OPENING_BRACE || body.indexOf(OPENING_BRACKET, first + 1) !== -1
}

/** What JSON.parse says, `undefined` if it refuses. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export function countEvents(events: number, arrival: Arrival): void {
  arrival.events = events
  if (events > EVENTS_PER_REQUEST_MAX) {
    throw new TallyError('too_many_events', 'One request holds too many events', {
      expected: `at most ${EVENTS_PER_REQUEST_MAX}`,
      got: String(events),
    })
  }
}

/**
 * Reads NDJSON: one event a line, lines ended by LF or CR LF, lines of nothing but white space skipped.
 * Errors as for readEvents, each with its line.
 */
export function readEventLines(body: Buffer, arrival: Arrival): CountEvent[] {
  const { text, printable } = decodeJson(body)
  const lines = splitLines(text)
  countEvents(lines.length, arrival)
  const quotes = body.indexOf(OPENING_BRACKET) === -1 ? countQuotes(body) : Number.POSITIVE_INFINITY
  if (quotes <= QUOTES_MAX) {
    const values = lines.map((line) => parsed(line.text))
    const events = readEventsFast(values, arrival, { quotes, printable })
    if (events !== undefined) return events
  }
  return lines.map((line, index) => {
    const place: Place = { line: line.number, index }
    checkJson(line.text, place)
    return readEvent(JSON.parse(line.text), arrival, { path: [], place })
  })
}

interface Line {
  readonly text: string
  /** From 1. */
  readonly number: number
}

function splitLines(text: string): Line[] {
  const lines: Line[] = []
  let number = 0
  let from = 0
  while (from < text.length) {
    const next = text.indexOf('\n', from)
    const end = next === -1 ? text.length : next
    number++
    const line = text.slice(from, end)
    if (!/^[ \t\r]*$/.test(line)) lines.push({ text: line, number })
    from = end + 1
  }
  return lines
}

const MESSAGE_MEMBERS = new Set([...EVENT_MEMBERS, 'type', 'ref'])

/** Reads a message that is one event, with `type` and `ref` beside its members. Errors as for readEvents. */
export function readOneEvent(body: Buffer, arrival: Arrival): CountEvent {
  const { text } = decodeJson(body)
  checkJson(text)
  const spot = { path: [], place: {} }
  const { type: _type, ref: _ref, ...event } = readMembers(JSON.parse(text), MESSAGE_MEMBERS, spot)
  return readEvent(event, arrival, spot)
}

const ADDITION_MEMBERS = new Set(['delta', 'id', 'time'])
const CLICK_MEMBERS = new Set(['id', 'time'])

/**
 * Reads the event of a route that names its counter and key: an empty body is one event now, an object may
 * tell delta (where `addition` allows it), id and time. Errors as for readEvents.
 */
export function readEventAt(
  body: Buffer | undefined,
  arrival: Arrival,
  target: { readonly counter: string; readonly key: string; readonly takesDelta: boolean },
): CountEvent {
  const { counter, key } = target
  if (body === undefined || body.length === 0) {
    return { counter, key, delta: 1, timeMs: arrival.nowMs, id: undefined }
  }
  const { text } = decodeJson(body)
  checkJson(text)
  const spot = { path: [], place: {} }
  const allowed = target.takesDelta ? ADDITION_MEMBERS : CLICK_MEMBERS
  const { delta, id, time } = readMembers(JSON.parse(text), allowed, spot)
  const at = (name: string) => ({ path: [name], place: {} })
  return {
    counter,
    key,
    delta: readDelta(delta, at('delta')),
    timeMs: readTime(time, arrival, at('time')),
    id: id === undefined ? undefined : readText(id, EVENT_ID_CHARS_MAX, at('id')),
  }
}
