import { describe, expect, test } from 'vitest'
import { timeZone, UTC } from '../core/time-zone.ts'
import { momentArgument, rangeArguments, zoneArgument } from './arguments.ts'

const NOW_MS = Date.UTC(2026, 10, 21, 6, 30)
const BERLIN = zoneArgument('Europe/Berlin')

const moment = (text: string, zone = UTC) =>
  new Date(momentArgument('--from', text, zone, NOW_MS)).toISOString()

describe('a moment', () => {
  test.each([
    ['now', '2026-11-21T06:30:00.000Z'],
    ['12h', '2026-11-20T18:30:00.000Z'],
    ['2026-11-21T04:00:00+02:00', '2026-11-21T02:00:00.000Z'],
    ['2015-05-17', '2015-05-17T00:00:00.000Z'],
  ])('%s is %s', (text, expected) => {
    expect(moment(text)).toBe(expected)
  })

  test.each([
    ['2015-05-17', '2015-05-16T22:00:00.000Z'],
    ['2015-01-17', '2015-01-16T23:00:00.000Z'],
    ['2026-03-29', '2026-03-28T23:00:00.000Z'],
    ['2026-03-30', '2026-03-29T22:00:00.000Z'],
    ['2026-10-25', '2026-10-24T22:00:00.000Z'],
    ['2026-10-26', '2026-10-25T23:00:00.000Z'],
  ])('the date %s begins in Berlin at %s', (text, expected) => {
    expect(moment(text, BERLIN)).toBe(expected)
  })

  test.each(['Pacific/Kiritimati', 'Pacific/Pago_Pago', 'Asia/Kathmandu'])(
    'a date begins at midnight in %s',
    (name) => {
      const zone = timeZone(name) ?? UTC
      const startMs = momentArgument('--from', '2026-07-01', zone, NOW_MS)
      const local = new Intl.DateTimeFormat('sv', { timeZone: name, dateStyle: 'short', timeStyle: 'short' })
      expect(local.format(startMs)).toBe('2026-07-01 00:00')
    },
  )

  test.each(['', 'yesterday', '2026-13-01', '2026-02-30', '2026-11-21T04:00:00', '1w'])(
    '%j is refused by name',
    (text) => {
      expect(() => moment(text)).toThrow(/^--from: expected a moment/)
    },
  )
})

test('without --from a range is as long as suits its windows', () => {
  const range = (width: 'minute' | 'hour' | 'day') => {
    const { fromMs, toMs } = rangeArguments({}, { width, zone: UTC, nowMs: NOW_MS })
    return [NOW_MS - toMs, (toMs - fromMs) / 3_600_000]
  }
  expect([range('minute'), range('hour'), range('day')]).toEqual([
    [0, 1],
    [0, 24],
    [0, 720],
  ])
})

test('a range that ends before it begins is refused', () => {
  const range = () => rangeArguments({ from: '1h', to: '2h' }, { width: 'hour', zone: UTC, nowMs: NOW_MS })
  expect(range).toThrow(/--from/)
})

test('a zone that is none is refused by name', () => {
  expect(() => zoneArgument('Europe/Berlln')).toThrow(/^--tz: .*Europe\/Berlln/)
})
