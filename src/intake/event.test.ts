import fc from 'fast-check'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { TallyError } from '../core/errors.ts'
import { DAY_MS, DELTA_MAX, EVENT_ID_CHARS_MAX, KEY_CHARS_MAX } from '../core/limits.ts'
import { parseInstant } from '../core/rfc3339.ts'
import { readEvent } from './event.ts'
import { type Arrival, readEventAt, readEventLines, readEvents, readOneEvent } from './event-body.ts'
import { EventSchema } from './event-schema.ts'

const NOW_MS = Date.UTC(2026, 10, 21, 4)
const CLICKS = { name: 'clicks', from: 'events', series: 'minute' } as const
const UNREAD = { name: 'unread', from: 'events', series: 'none' } as const
const COUNTERS = new Map([CLICKS, UNREAD].map((counter) => [counter.name, counter]))

function arrival(): Arrival {
  return { counters: COUNTERS, nowMs: NOW_MS, events: 1 }
}

function caught(run: () => unknown): TallyError {
  try {
    run()
  } catch (error) {
    if (error instanceof TallyError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

function refusal(text: string): { code: string; at: string | undefined; index: number | undefined } {
  const { code, detail } = caught(() => readEvents(Buffer.from(text), arrival()))
  return { code, at: detail.at, index: detail.index }
}

function event(more: Record<string, unknown>): string {
  return JSON.stringify({ counter: 'clicks', key: '7', ...more })
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 5 }),
  fc.constantFrom(
    '',
    'x',
    'ä',
    '😀',
    ...[EVENT_ID_CHARS_MAX, KEY_CHARS_MAX].flatMap((chars) => [
      'x'.repeat(chars),
      'x'.repeat(chars + 1),
      '😀'.repeat(chars),
      '😀'.repeat(chars + 1),
    ]),
  ),
  fc.constantFrom('\u0000', 'a\u001f', '\u007f', '\u0080', '\ud800', '"', '\\', '[', '{'),
)
const number = fc.oneof(
  fc.constantFrom(0, -0, 1, 1.5, 1e3, DELTA_MAX, -DELTA_MAX, DELTA_MAX + 1, -DELTA_MAX - 1, 2 ** 53, 1e300),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
)
const anything = fc.oneof(fc.constantFrom(null, true, [], {}, [1], { a: 1 }), text, number)
const rarely = <Sound>(sound: fc.Arbitrary<Sound>) =>
  fc.oneof({ weight: 8, arbitrary: sound }, { weight: 1, arbitrary: anything })
const time = fc.constantFrom('2026-11-21T04:00:00Z', '1970-01-01T00:00:00Z', '2026-11-22T04:00:00.000Z')
const member = fc.constantFrom('Key', '__proto__', 'constructor', 'toString', 'deltas', '', 'type', 'ref')
const sample = fc
  .record(
    {
      counter: rarely(fc.constantFrom('clicks', 'unread')),
      key: rarely(text),
      delta: rarely(number),
      id: rarely(text),
      time: rarely(time),
    },
    { requiredKeys: [] },
  )
  .chain((sound) =>
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.constant<Record<string, unknown>>({ counter: 'clicks', key: 'k', ...sound }),
      },
      { weight: 2, arbitrary: fc.constant<Record<string, unknown>>(sound) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(member, anything)
          .map(([name, value]) => Object.fromEntries([...Object.entries(sound), [name, value]])),
      },
    ),
  )

/** What the schema can't say: which counters are declared, and which instants are in range. */
function isBeyondSchema(value: unknown): boolean {
  const { counter, time: at } = Object(value)
  const timeMs = typeof at === 'string' ? parseInstant(at) : undefined
  if (timeMs !== undefined && (timeMs < 0 || timeMs > NOW_MS + DAY_MS)) return true
  return !COUNTERS.has(counter)
}

test('the published schema and the reader take the same events', () => {
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: sample }, { weight: 1, arbitrary: anything }), (value) => {
      const read = () => readEvent(JSON.parse(JSON.stringify(value)), arrival(), { path: [], place: {} })
      if (Value.Check(EventSchema, value) && !isBeyondSchema(value)) expect(read).not.toThrow()
      else expect(caught(read).code).toMatch(/^(invalid_event|unknown_counter)$/)
    }),
    { numRuns: 5_000 },
  )
})

describe('the fast reader says what the exact one says', () => {
  /** JSON with members repeated, spaces and escapes put in, as JSON.stringify would never write it. */
  const json = fc
    .tuple(fc.array(sample, { maxLength: 4 }), fc.nat({ max: 9 }), fc.nat())
    .map(([values, kind, at]) => {
      const whole = values.length === 1 && kind > 4 ? JSON.stringify(values[0]) : JSON.stringify(values)
      if (kind === 0) return whole.replace('{', '{"key":"k",')
      if (kind === 1) return whole.replaceAll('key', '\\u006bey')
      if (kind === 2) return ` ${whole.replaceAll(',', ' , \n')}`
      if (kind === 3) return whole.slice(0, at % (whole.length + 1))
      if (kind === 4) return whole.replace('}', ',"key":[{}]}')
      return whole
    })

  function exact(body: string): unknown {
    const value: unknown = JSON.parse(body)
    const all = Array.isArray(value) ? value : [value]
    return all.map((item) => readEvent(item, arrival(), { path: [], place: {} }))
  }

  test('for arrays and single events', () => {
    fc.assert(
      fc.property(json, (body) => {
        let events: unknown
        try {
          events = readEvents(Buffer.from(body), arrival())
        } catch (error) {
          expect(error).toBeInstanceOf(TallyError)
          if (error instanceof TallyError && error.code === 'duplicate_member') return
          expect(() => exact(body)).toThrow()
          return
        }
        expect(events).toEqual(exact(body))
      }),
      { numRuns: 5_000 },
    )
  })

  test('for lines', () => {
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 4 }), (values) => {
        const lines = Buffer.from(values.map((value) => JSON.stringify(value)).join('\r\n\n'))
        const array = Buffer.from(JSON.stringify(values))
        let events: unknown
        try {
          events = readEvents(array, arrival())
        } catch (error) {
          const { code, detail } = caught(() => readEventLines(lines, arrival()))
          expect(error).toMatchObject({ code, detail: { index: detail.index } })
          return
        }
        expect(readEventLines(lines, arrival())).toEqual(events)
      }),
      { numRuns: 2_000 },
    )
  })
})

test('an event without delta, id and time is one event now', () => {
  expect(readEvents(Buffer.from(event({})), arrival())).toEqual([
    { counter: 'clicks', key: '7', delta: 1, timeMs: NOW_MS, id: undefined },
  ])
})

test.each([
  ['1.0', 1],
  ['1e3', 1_000],
  ['-0', 0],
  ['-1', -1],
  ['1000000000000', DELTA_MAX],
])('a delta is judged by its value: %s is %d', (delta, value) => {
  const [read] = readEvents(Buffer.from(`{"counter":"clicks","key":"7","delta":${delta}}`), arrival())
  expect(Object.is(read?.delta, value)).toBe(true)
})

test.each([
  [event({ delta: 1.5 }), '/delta'],
  [event({ delta: '1' }), '/delta'],
  [event({ delta: null }), '/delta'],
  [event({ delta: DELTA_MAX + 1 }), '/delta'],
  ['{"counter":"clicks","key":"7","delta":9007199254740993}', '/delta'],
  ['{"counter":"clicks","key":"7","delta":1e400}', '/delta'],
  [event({ id: '' }), '/id'],
  [event({ id: 7 }), '/id'],
  [event({ id: 'x'.repeat(257) }), '/id'],
  [event({ id: 'a\u0000b' }), '/id'],
  [event({ key: '' }), '/key'],
  [event({ key: 7 }), '/key'],
  [event({ key: 'x'.repeat(KEY_CHARS_MAX + 1) }), '/key'],
  ['{"counter":"clicks","key":"\\ud800"}', '/key'],
  ['{"counter":"clicks","key":"\\u0000"}', '/key'],
  ['{"counter":"clicks"}', '/key'],
  ['{"key":"7"}', '/counter'],
  [event({ time: '1969-12-31T23:59:59Z' }), '/time'],
  [event({ time: '2999-01-01T00:00:00Z' }), '/time'],
  [event({ time: '2026-11-22T04:00:00.001Z' }), '/time'],
  [event({ time: '2026-11-21' }), '/time'],
  [event({ time: 1_760_000_000 }), '/time'],
  [event({ Delta: 1 }), '/Delta'],
  ['{"counter":"clicks","key":"7","__proto__":{"delta":9}}', '/__proto__'],
  ['1', ''],
  ['null', ''],
  ['"clicks"', ''],
])('an invalid event names its place: %s', (body, at) => {
  expect(refusal(body)).toEqual({ code: 'invalid_event', at, index: undefined })
})

test('of a thousand events the one that is bad is named', () => {
  const events = Array.from({ length: 1_000 }, (_, key) => ({ counter: 'clicks', key: String(key) }))
  events[617] = { counter: 'clicks', key: '' }
  expect(refusal(JSON.stringify(events))).toEqual({ code: 'invalid_event', at: '/617/key', index: 617 })
})

test('an undeclared counter is refused with the nearest declared names', () => {
  const { code, detail } = caught(() => readEvents(Buffer.from(event({ counter: 'clickz' })), arrival()))
  expect(code).toBe('unknown_counter')
  expect(detail).toMatchObject({ at: '/counter', expected: 'one of clicks, unread', got: '"clickz"' })
})

test.each([
  ['{"counter":"clicks","key":"a","key":"b"}', '/key', undefined],
  ['[{"counter":"clicks","key":"a"},{"counter":"clicks","key":"a","delta":1,"delta":1}]', '/1/delta', 1],
  ['{"counter":"clicks","key":"a","delta":[],"delta":1}', '/delta', undefined],
  ['{"counter":"clicks","key":"a","\\u006bey":"b"}', '/key', undefined],
])('a member named twice is refused, not overwritten: %s', (body, at, index) => {
  expect(refusal(body)).toEqual({ code: 'duplicate_member', at, index })
})

test('more than 10,000 events are refused, and all of them known to the ledger', () => {
  const one = { counter: 'clicks', key: '7' }
  const of = (count: number) => Buffer.from(JSON.stringify(Array.from({ length: count }, () => one)))
  expect(readEvents(of(10_000), arrival())).toHaveLength(10_000)
  const tooMany = arrival()
  expect(caught(() => readEvents(of(10_001), tooMany)).code).toBe('too_many_events')
  expect(tooMany.events).toBe(10_001)
  const lines = Buffer.from(`${JSON.stringify(one)}\n`.repeat(10_001))
  expect(caught(() => readEventLines(lines, arrival())).code).toBe('too_many_events')
})

test('in lines an error names its line, blank lines counted but not read', () => {
  const lines = [event({}), '', ' \r', event({ delta: 0.5 })].join('\n')
  const { code, detail } = caught(() => readEventLines(Buffer.from(lines), arrival()))
  expect(code).toBe('invalid_event')
  expect(detail).toMatchObject({ at: 'line 4: /delta', index: 1 })
})

test('a line holds one event, not a batch of them', () => {
  const { code, detail } = caught(() => readEventLines(Buffer.from(`[${event({})}]`), arrival()))
  expect([code, detail.at]).toEqual(['invalid_event', 'line 1: '])
})

test('nesting is refused before it is followed, wherever it hides', () => {
  expect(refusal('['.repeat(1_000_000)).code).toBe('nesting_too_deep')
  expect(refusal('{"":'.repeat(1_000_000)).code).toBe('nesting_too_deep')
  expect(refusal(`{"counter":"clicks","key":"7","a":${'{"a":'.repeat(40)}1${'}'.repeat(41)}`).code).toBe(
    'nesting_too_deep',
  )
})

test('nesting costs no more than finding it, where JSON.parse would follow it', () => {
  const deep = '['.repeat(2_000_000) + ']'.repeat(2_000_000)
  const startMs = performance.now()
  refusal(deep)
  const refusedMs = performance.now() - startMs
  JSON.parse(deep)
  const parsedMs = performance.now() - startMs - refusedMs
  expect(refusedMs).toBeLessThan(parsedMs / 4)
})

test('a route that names counter and key takes nothing, or the rest', () => {
  const target = { counter: 'clicks', key: '7', takesDelta: true }
  const read = (body: string, takesDelta = true) =>
    readEventAt(Buffer.from(body), arrival(), { ...target, takesDelta })
  expect(readEventAt(undefined, arrival(), target)).toMatchObject({ delta: 1, timeMs: NOW_MS })
  expect(read('')).toMatchObject({ counter: 'clicks', key: '7', delta: 1 })
  expect(read('{"delta":-3,"id":"a"}')).toMatchObject({ delta: -3, id: 'a' })
  expect(caught(() => read('{"key":"8"}')).detail.at).toBe('/key')
  expect(caught(() => read('{"delta":2}', false)).detail.at).toBe('/delta')
  expect(caught(() => read('[]')).code).toBe('invalid_event')
})

test('a message may say its type and its ref beside the event, and nothing else', () => {
  const read = (body: string) => readOneEvent(Buffer.from(body), arrival())
  expect(read(event({ type: 'event', ref: 4, delta: 2 }))).toMatchObject({ key: '7', delta: 2 })
  expect(caught(() => read(event({ type: 'event', more: 1 }))).detail.at).toBe('/more')
  expect(caught(() => read(`[${event({})}]`)).code).toBe('invalid_event')
})
