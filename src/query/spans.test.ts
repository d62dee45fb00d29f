import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../core/limits.ts'
import type { Bucket } from '../core/reading.ts'
import { timeZone, UTC } from '../core/time-zone.ts'
import { WINDOW_WIDTHS, windowsOf } from '../core/windows.ts'
import type { Resolution, Span } from '../store/store.ts'
import { spansOf, sumIntoWindows } from './spans.ts'

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'America/St_Johns',
  'UTC',
]
const STARTS = ['2026-03-27', '2026-10-23', '2026-04-03', '2011-12-28', '2010-11-05', '2026-11-01'].map(
  (text) => Date.parse(text),
)
const STEP_MS: Record<Resolution, number> = { minute: MINUTE_MS, hour: HOUR_MS, day: DAY_MS }

/** What a store answers that holds these minutes: buckets of the spans' resolutions. */
function stored(minutes: ReadonlyMap<number, number>, spans: readonly Span[]): Bucket[] {
  const buckets: Bucket[] = []
  for (const { fromMs, toMs, resolution } of spans) {
    const sums = new Map<number, number>()
    for (const [ms, count] of minutes) {
      if (ms < fromMs || ms >= toMs) continue
      const startMs = Math.floor(ms / STEP_MS[resolution]) * STEP_MS[resolution]
      sums.set(startMs, (sums.get(startMs) ?? 0) + count)
    }
    for (const [startMs, count] of [...sums].sort(([left], [right]) => left - right)) {
      buckets.push({ startMs, count })
    }
  }
  return buckets
}

describe('spansOf', () => {
  test('any window equals the sum of its minutes, in any zone', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ZONES),
        fc.constantFrom(...WINDOW_WIDTHS),
        fc.constantFrom(...STARTS),
        fc.array(fc.tuple(fc.nat(5 * 1440), fc.integer({ min: -9, max: 99 })), { maxLength: 200 }),
        fc.nat(1440),
        fc.integer({ min: 1, max: 4 * 1440 }),
        (name, width, start, events, from, length) => {
          const minutes = new Map(events.map(([at, count]) => [start + at * MINUTE_MS, count]))
          const range = { fromMs: start + from * MINUTE_MS, toMs: start + (from + length) * MINUTE_MS }
          const { edgesMs } = windowsOf(range, timeZone(name) ?? UTC, { width, max: 11_000 }) ?? {
            edgesMs: [],
          }
          const spans = spansOf(edgesMs)
          const counts = sumIntoWindows(stored(minutes, spans), edgesMs)
          for (const [index, count] of counts.entries()) {
            let naive = 0
            for (let ms = edgesMs[index] ?? 0; ms < (edgesMs[index + 1] ?? 0); ms += MINUTE_MS) {
              naive += minutes.get(ms) ?? 0
            }
            expect([index, count]).toEqual([index, naive])
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  test('spans are whole buckets, ascending, without a gap or an overlap', () => {
    const minute = fc.integer({ min: 0, max: 60 * 1440 })
    fc.assert(
      fc.property(fc.uniqueArray(minute, { minLength: 2, maxLength: 20 }), (points) => {
        const edgesMs = points.sort((left, right) => left - right).map((point) => point * MINUTE_MS)
        const spans = spansOf(edgesMs)
        expect(spans[0]?.fromMs).toBe(edgesMs[0])
        expect(spans.at(-1)?.toMs).toBe(edgesMs.at(-1))
        for (const [index, { fromMs, toMs, resolution }] of spans.entries()) {
          expect(fromMs).toBeLessThan(toMs)
          expect(fromMs % STEP_MS[resolution]).toBe(0)
          expect(toMs % STEP_MS[resolution]).toBe(0)
          if (index > 0) expect(spans[index - 1]?.toMs).toBe(fromMs)
        }
      }),
    )
  })

  test('a year by UTC days reads days only, by Berlin days hours only', () => {
    const year = { fromMs: Date.parse('2025-01-01'), toMs: Date.parse('2026-01-01') }
    const days = windowsOf(year, UTC, { width: 'day', max: 400 })
    expect(spansOf(days?.edgesMs ?? [])).toEqual([{ resolution: 'day', ...year }])
    const berlin = windowsOf(year, timeZone('Europe/Berlin') ?? UTC, { width: 'day', max: 400 })
    const spans = spansOf(berlin?.edgesMs ?? [])
    expect(spans).toEqual([
      { resolution: 'hour', fromMs: Date.parse('2024-12-31T23:00Z'), toMs: Date.parse('2026-01-01T23:00Z') },
    ])
  })

  test('a day of 25 hours that holds a whole UTC day reads it as one', () => {
    const edges = [Date.parse('2026-10-24T23:00Z'), Date.parse('2026-10-26T00:00Z')]
    expect(spansOf(edges).map(({ resolution }) => resolution)).toEqual(['hour', 'day'])
  })

  test('one window over odd minutes reads minutes at its rims only', () => {
    const edges = [Date.parse('2026-01-01T22:30Z'), Date.parse('2026-01-04T01:15Z')]
    expect(
      spansOf(edges).map(({ resolution, fromMs, toMs }) => [resolution, (toMs - fromMs) / MINUTE_MS]),
    ).toEqual([
      ['minute', 30],
      ['hour', 60],
      ['day', 2880],
      ['hour', 60],
      ['minute', 15],
    ])
  })
})
