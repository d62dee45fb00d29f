import { describe, expect, test } from 'vitest'
import { DAY_MS, MINUTE_MS } from './limits.ts'
import { timeZone, UTC } from './time-zone.ts'

const at = (text: string): number => Date.parse(text)
const offsetAt = (name: string, text: string): number | undefined =>
  timeZone(name)?.periods(at(text), at(text) + MINUTE_MS)[0]?.offsetMinutes

/** The offset by the clock that Intl shows, by another way than the one under test. */
function shownOffset(format: Intl.DateTimeFormat, ms: number): number {
  const part = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]))
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = part
  return Math.floor((Date.UTC(year, month - 1, day, hour, minute, second) - ms) / MINUTE_MS)
}

describe('timeZone', () => {
  test('every zone shows the offset that Intl shows, on every day from 1970 to 2040', {
    timeout: 60_000,
  }, () => {
    for (const name of Intl.supportedValuesOf('timeZone').filter((_, index) => index % 10 === 3)) {
      const format = new Intl.DateTimeFormat('en-US', {
        timeZone: name,
        calendar: 'gregory',
        hourCycle: 'h23',
        year: 'numeric',
        month: 'numeric',
        day: 'numeric',
        hour: 'numeric',
        minute: 'numeric',
        second: 'numeric',
      })
      const periods = timeZone(name)?.periods(at('1970-01-01'), at('2040-01-01')) ?? []
      let current = 0
      for (let ms = at('1970-01-01'); ms < at('2040-01-01'); ms += 3 * DAY_MS) {
        while ((periods[current + 1]?.startMs ?? Number.POSITIVE_INFINITY) <= ms) current++
        if (periods[current]?.offsetMinutes !== shownOffset(format, ms)) {
          expect([name, new Date(ms), periods[current]?.offsetMinutes]).toEqual([
            name,
            new Date(ms),
            shownOffset(format, ms),
          ])
        }
      }
    }
  })

  test('a change is found to the minute', () => {
    const starts = (name: string, year: number) =>
      timeZone(name)
        ?.periods(at(`${year}-01-01`), at(`${year}-12-31`))
        .slice(1)
        .map(({ startMs, offsetMinutes }) => [new Date(startMs).toISOString(), offsetMinutes])
    expect(starts('Europe/Berlin', 2026)).toEqual([
      ['2026-03-29T01:00:00.000Z', 120],
      ['2026-10-25T01:00:00.000Z', 60],
    ])
    expect(starts('Australia/Lord_Howe', 2026)).toEqual([
      ['2026-04-04T15:00:00.000Z', 630],
      ['2026-10-03T15:30:00.000Z', 660],
    ])
    expect(starts('America/St_Johns', 2010)).toEqual([
      ['2010-03-14T03:31:00.000Z', -150],
      ['2010-11-07T02:31:00.000Z', -210],
    ])
    expect(starts('Pacific/Apia', 2011)?.at(-1)).toEqual(['2011-12-30T10:00:00.000Z', 840])
    expect(starts('America/Recife', 2000)).toHaveLength(3)
  })

  test('quarter hours, fixed offsets, any case', () => {
    expect(offsetAt('Asia/Kathmandu', '2026-01-01')).toBe(345)
    expect(offsetAt('asia/kathmandu', '2026-01-01')).toBe(345)
    expect(offsetAt('+05:30', '2026-01-01')).toBe(330)
    expect(offsetAt('Etc/GMT+5', '2026-01-01')).toBe(-300)
    expect(offsetAt('UTC', '2026-01-01')).toBe(0)
    expect(timeZone('UTC')).toBe(UTC)
  })

  test('an offset with seconds is floored to the minute', () => {
    expect(offsetAt('Africa/Monrovia', '1970-01-01')).toBe(-45)
    expect(offsetAt('Europe/Berlin', '1890-01-01')).toBe(53)
  })

  test.each(['', ' ', 'Mars/Olympus', 'Europe/Berlin ', '../etc/passwd', '+25:00', 'a'.repeat(65)])(
    'refuses %j',
    (name) => {
      expect(timeZone(name)).toBeUndefined()
    },
  )

  test('more zones than are cached all stay right', () => {
    for (let round = 0; round < 2; round++) {
      for (const name of Intl.supportedValuesOf('timeZone').slice(0, 100)) timeZone(name)?.periods(0, DAY_MS)
      expect(offsetAt('Asia/Kathmandu', '2026-01-01')).toBe(345)
    }
  })
})
