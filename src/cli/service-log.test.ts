import { expect, test } from 'vitest'
import { createServiceLog, readableLine } from './service-log.ts'

test('a line for people has time, level, message and fields, without process and host', () => {
  const line = JSON.stringify({
    level: 40,
    time: '2026-11-21T06:47:46.123Z',
    pid: 7,
    hostname: 'here',
    removed: 3,
    reason: 'disk full',
    msg: 'purge failed',
  })
  expect(readableLine(line)).toBe('06:47:46 warn  purge failed removed=3 reason="disk full"')
})

test('on a terminal lines are for people, and levels below the least are left out', () => {
  const written: string[] = []
  const log = createServiceLog('warn', { isTTY: true, write: (text: string) => written.push(text) })
  log.info('hidden')
  log.warn({ n: 1 }, 'shown')
  expect(written.join('')).toMatch(/^\d\d:\d\d:\d\d warn {2}shown n=1\n$/)
})
