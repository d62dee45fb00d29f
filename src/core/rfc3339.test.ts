import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DAY_MS, MINUTE_MS } from './limits.ts'
import { formatInstant, formatLocal, parseInstant } from './rfc3339.ts'

const FIRST = new Date('0000-01-01T00:00:00Z')
const LAST = new Date('9999-12-31T23:59:59.999Z')
const instants = fc.date({ min: FIRST, max: LAST, noInvalidDate: true }).map((date) => date.getTime())
const offsets = fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 })
const inside = (ms: number) => ms >= FIRST.getTime() && ms <= LAST.getTime()

describe('parseInstant', () => {
  test('reads every instant that Date can write', () => {
    fc.assert(fc.property(instants, (ms) => parseInstant(new Date(ms).toISOString()) === ms))
  })

  test('reads the same instant from any offset', () => {
    fc.assert(
      fc.property(instants, offsets, (ms, offset) => {
        const wholeMs = Math.floor(ms / 1000) * 1000
        fc.pre(inside(wholeMs + offset * MINUTE_MS))
        expect(parseInstant(formatLocal(wholeMs, offset))).toBe(wholeMs)
      }),
    )
  })

  test('agrees with Date about which dates exist', () => {
    const field = fc.integer({ min: 0, max: 99 })
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9999 }), field, field, field, field, field, (...parts) => {
        const [year, ...rest] = parts
        const [month, day, hour, minute, second] = rest.map((part) => String(part).padStart(2, '0'))
        const text = `${String(year).padStart(4, '0')}-${month}-${day}T${hour}:${minute}:${second}Z`
        const date = new Date(text)
        // Date takes 24:00:00 and lets February overflow; writing it back tells whether it was real.
        const real = !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text.slice(0, 19))
        expect(parseInstant(text)).toBe(real ? date.getTime() : undefined)
      }),
      { numRuns: 2_000 },
    )
  })

  test('never throws, whatever the text, and takes nothing that Date refuses', () => {
    const near = fc.tuple(instants, fc.nat(30), fc.string({ unit: 'binary', maxLength: 3 })).map((parts) => {
      const [ms, at, noise] = parts
      const text = new Date(ms).toISOString()
      return text.slice(0, at) + noise + text.slice(at + noise.length)
    })
    fc.assert(
      fc.property(fc.oneof(fc.string(), near), (text) => {
        const ms = parseInstant(text)
        if (ms === undefined || text.includes(':60')) return
        expect(ms).toBe(Date.parse(text.toUpperCase()))
      }),
      { numRuns: 5_000 },
    )
  })

  test('takes lower-case letters and any number of digits of a fraction, cut to milliseconds', () => {
    const ms = Date.parse('2026-11-21T04:05:06.789Z')
    expect(parseInstant('2026-11-21t04:05:06.789z')).toBe(ms)
    expect(parseInstant('2026-11-21T04:05:06.7899999999999999Z')).toBe(ms)
    expect(parseInstant('2026-11-21T04:05:06.7Z')).toBe(ms - 89)
    expect(parseInstant('1969-12-31T23:59:59.9999Z')).toBe(-1)
    expect(parseInstant('2026-11-21T04:05:06.789-00:00')).toBe(ms)
  })

  test('a leap second stays in the minute in which it happened', () => {
    const last = Date.parse('2016-12-31T23:59:59.999Z')
    expect(parseInstant('2016-12-31T23:59:60Z')).toBe(last)
    expect(parseInstant('2016-12-31T23:59:60.5Z')).toBe(last)
    expect(parseInstant('2017-01-01T05:29:60+05:30')).toBe(last)
    expect(parseInstant('2016-12-31T15:59:60-08:00')).toBe(last)
    expect(parseInstant('2016-12-31T22:59:60Z')).toBeUndefined()
    expect(parseInstant('2016-12-30T23:59:60Z')).toBeUndefined()
    expect(parseInstant('2016-12-31T23:59:60+01:00')).toBeUndefined()
    expect(parseInstant('2016-12-31T23:59:61Z')).toBeUndefined()
  })

  test.each([
    '',
    '2026-11-21',
    '2026-11-21T04:00:00',
    '2026-11-21T04:00Z',
    '2026-11-21 04:00:00Z',
    '2026-11-21T04:00:00 Z',
    '2026-11-21T04:00:00.Z',
    '2026-11-21T04:00:00,5Z',
    '2026-11-21T04:00:00+01',
    '2026-11-21T04:00:00+0100',
    '2026-11-21T04:00:00+24:00',
    '2026-11-21T04:00:00+01:60',
    '2026-11-21T04:00:00Zjunk',
    '2026-11-21T04:00:00+01:00 ',
    ' 2026-11-21T04:00:00Z',
    '2026-11-21T24:00:00Z',
    '2026-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '+002026-11-21T04:00:00Z',
    '-2026-11-21T04:00:00Z',
    '٢٠٢٦-11-21T04:00:00Z',
    '1763697600',
  ])('refuses %j', (text) => {
    expect(parseInstant(text)).toBeUndefined()
  })

  test('a refused date leaves nothing behind that lets it pass the next time', () => {
    expect(parseInstant('2026-02-28T00:00:00Z')).toBe(Date.parse('2026-02-28'))
    for (let round = 0; round < 3; round++) expect(parseInstant('2026-02-30T00:00:00Z')).toBeUndefined()
    expect(parseInstant('2026-02-28T00:00:00Z')).toBe(Date.parse('2026-02-28'))
  })
})

describe('formatting', () => {
  test('formatInstant writes what parseInstant reads', () => {
    fc.assert(fc.property(instants, (ms) => parseInstant(formatInstant(ms)) === ms))
  })

  test('formatLocal tells the clock of the offset', () => {
    const ms = Date.parse('2026-11-21T04:00:00Z')
    expect(formatLocal(ms, 0)).toBe('2026-11-21T04:00:00Z')
    expect(formatLocal(ms, 345)).toBe('2026-11-21T09:45:00+05:45')
    expect(formatLocal(ms, -210)).toBe('2026-11-21T00:30:00-03:30')
  })

  test('an instant that four digits of a year cannot say is refused', () => {
    expect(() => formatInstant(LAST.getTime() + 1)).toThrow(RangeError)
    expect(() => formatInstant(FIRST.getTime() - 1)).toThrow(RangeError)
    expect(() => formatInstant(Number.NaN)).toThrow(RangeError)
    expect(() => formatLocal(LAST.getTime() - DAY_MS / 2, 24 * 60 - 1)).toThrow(RangeError)
  })
})
