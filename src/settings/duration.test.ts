import { expect, test } from 'vitest'
import { formatDuration, parseDurationMs } from './duration.ts'

test.each([
  ['7d', 604_800_000],
  ['12h', 43_200_000],
  ['30m', 1_800_000],
  ['90s', 90_000],
  ['250ms', 250],
  [' 1d ', 86_400_000],
])('%s is %d milliseconds', (text, durationMs) => {
  expect(parseDurationMs(text)).toBe(durationMs)
})

test.each(['', '7', 'd', '7 d', '1.5h', '-1h', '1w', '7d12h', '9999999999d', '1e3s'])(
  '%j is no duration',
  (text) => {
    expect(parseDurationMs(text)).toBeUndefined()
  },
)

test('a duration is written as it is read', () => {
  for (const text of ['7d', '12h', '90s', '36h', '250ms', '1m']) {
    expect(formatDuration(parseDurationMs(text) ?? 0)).toBe(text)
  }
})
