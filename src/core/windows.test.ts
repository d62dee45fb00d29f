import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DAY_MS, HOUR_MS, MINUTE_MS } from './limits.ts'
import { formatLocal } from './rfc3339.ts'
import { timeZone, UTC } from './time-zone.ts'
import { WINDOW_WIDTHS, type Windows, type WindowWidth, windowsOf } from './windows.ts'

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'America/St_Johns',
  'America/Sao_Paulo',
  'UTC',
]
/** A day before a change of the clocks of one of the zones, or no such day. */
const NOTABLE = [
  '2026-03-28',
  '2026-10-24',
  '2026-03-07',
  '2026-10-31',
  '2026-04-04',
  '2026-10-03',
  '2011-12-29',
  '2010-11-06',
  '2010-03-13',
  '2018-11-03',
  '2018-02-17',
  '2026-06-15',
].map((text) => Date.parse(text))

const range = (from: string, to: string) => ({ fromMs: Date.parse(from), toMs: Date.parse(to) })
const zoneOf = (name: string) => timeZone(name) ?? UTC

function starts(windows: Windows | undefined): string[] {
  return (windows?.edgesMs ?? []).map((edge, index) => formatLocal(edge, windows?.offsets[index] ?? 0))
}

/** For each minute the name of its window, from what Intl shows and the definitions alone. */
function naive(name: string, fromMs: number, toMs: number, width: WindowWidth): string[] {
  const format = new Intl.DateTimeFormat('en-CA', {
    timeZone: name,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    timeZoneName: 'longOffset',
  })
  const names: string[] = []
  let date = ''
  for (let ms = fromMs - 2 * DAY_MS; ms < toMs; ms += MINUTE_MS) {
    const text = format.format(ms)
    // A date that comes back after the next one began belongs to the next one.
    if (text.slice(0, 10) > date) date = text.slice(0, 10)
    if (ms >= fromMs) names.push(width === 'day' ? date : width === 'hour' ? text : String(ms))
  }
  return names
}

describe('windowsOf', () => {
  test('each minute is in the window that the clock of the zone says', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ZONES),
        fc.constantFrom(...WINDOW_WIDTHS),
        fc.constantFrom(...NOTABLE),
        fc.integer({ min: -600, max: 600 }),
        fc.integer({ min: 1, max: 2 * 1440 }),
        (name, width, base, shift, minutes) => {
          const fromMs = base + shift * MINUTE_MS
          const toMs = fromMs + minutes * MINUTE_MS
          const windows = windowsOf({ fromMs, toMs }, zoneOf(name), { width, max: 11_000 })
          const edges = windows?.edgesMs ?? []
          const expected = naive(name, fromMs, toMs, width)
          let at = 0
          for (let index = 0; index < minutes; index++) {
            const ms = fromMs + index * MINUTE_MS
            const entered = edges[at + 1] === ms
            if (entered) at++
            if (index > 0) expect([ms, entered]).toEqual([ms, expected[index] !== expected[index - 1]])
          }
          // The outer windows are whole, and there are no others.
          expect(edges[0]).toBeLessThanOrEqual(fromMs)
          expect(edges[1]).toBeGreaterThan(fromMs)
          expect(edges.at(-1)).toBeGreaterThanOrEqual(toMs)
          expect(edges.at(-2)).toBeLessThan(toMs)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('days of 23 and 25 hours', () => {
    const hours = (windows: Windows | undefined) =>
      windows?.edgesMs.slice(1).map((edge, index) => (edge - (windows.edgesMs[index] ?? 0)) / HOUR_MS)
    const berlin = zoneOf('Europe/Berlin')
    const spring = windowsOf(range('2026-03-27T23:00Z', '2026-03-30T22:00Z'), berlin, {
      width: 'day',
      max: 9,
    })
    expect(hours(spring)).toEqual([24, 23, 24])
    expect(starts(spring)).toEqual([
      '2026-03-28T00:00:00+01:00',
      '2026-03-29T00:00:00+01:00',
      '2026-03-30T00:00:00+02:00',
      '2026-03-31T00:00:00+02:00',
    ])
    const autumn = windowsOf(range('2026-10-24T22:00Z', '2026-10-25T23:00Z'), berlin, {
      width: 'day',
      max: 9,
    })
    expect(hours(autumn)).toEqual([25])
  })

  test('the hour that is lived twice is two windows, told apart by their offsets', () => {
    const windows = windowsOf(range('2026-10-25T00:00Z', '2026-10-25T02:00Z'), zoneOf('Europe/Berlin'), {
      width: 'hour',
      max: 9,
    })
    expect(starts(windows)).toEqual([
      '2026-10-25T02:00:00+02:00',
      '2026-10-25T02:00:00+01:00',
      '2026-10-25T03:00:00+01:00',
    ])
  })

  test('a change by half an hour makes one window of 30 minutes', () => {
    const windows = windowsOf(
      range('2026-04-04T14:00Z', '2026-04-04T16:00Z'),
      zoneOf('Australia/Lord_Howe'),
      {
        width: 'hour',
        max: 9,
      },
    )
    expect(starts(windows)).toEqual([
      '2026-04-05T01:00:00+11:00',
      '2026-04-05T01:30:00+10:30',
      '2026-04-05T02:00:00+10:30',
      '2026-04-05T03:00:00+10:30',
    ])
  })

  test('a date that was left out has no window, and the day after it starts where the one before ends', () => {
    const windows = windowsOf(range('2011-12-29T10:00Z', '2011-12-31T10:00Z'), zoneOf('Pacific/Apia'), {
      width: 'day',
      max: 9,
    })
    expect(starts(windows)).toEqual([
      '2011-12-29T00:00:00-10:00',
      '2011-12-31T00:00:00+14:00',
      '2012-01-01T00:00:00+14:00',
    ])
  })

  test('a day without a midnight starts at its first instant', () => {
    const windows = windowsOf(range('2018-11-04T12:00Z', '2018-11-04T13:00Z'), zoneOf('America/Sao_Paulo'), {
      width: 'day',
      max: 9,
    })
    expect(starts(windows)).toEqual(['2018-11-04T01:00:00-02:00', '2018-11-05T00:00:00-02:00'])
  })

  test('exactly as many windows as allowed are answered, one more is refused', () => {
    const year = range('2026-01-01', '2027-01-01')
    expect(windowsOf(year, UTC, { width: 'day', max: 365 })?.edgesMs).toHaveLength(366)
    expect(windowsOf(year, UTC, { width: 'day', max: 364 })).toBeUndefined()
    expect(
      windowsOf(range('2026-01-01T00:00:30Z', '2026-01-01T00:01:30Z'), UTC, { width: 'minute', max: 1 }),
    ).toBe(undefined)
    expect(
      windowsOf(range('1970-01-01', '9000-01-01'), UTC, { width: 'minute', max: 11_000 }),
    ).toBeUndefined()
  })
})
