import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { readCombined } from './combined.ts'
import type { ImportRecord } from './format.ts'

const AGENT = '"-" "curl/8.0"'

async function read(text: string, key = 'path', delta?: string): Promise<ImportRecord[]> {
  const fields = { counter: 'clicks', key, time: undefined, delta }
  const records: ImportRecord[] = []
  for await (const part of readCombined(Readable.from([Buffer.from(text)]), fields)) records.push(...part)
  return records
}

async function one(line: string, key?: string, delta?: string): Promise<ImportRecord | undefined> {
  const [record] = await read(`${line}\n`, key, delta)
  return record
}

function line(
  request: string,
  more: { ip?: string; user?: string; time?: string; tail?: string } = {},
): string {
  const { ip = '1.2.3.4', user = '-', time = '17/May/2015:10:05:03 +0000', tail = `200 12 ${AGENT}` } = more
  return `${ip} - ${user} [${time}] "${request}" ${tail}`
}

describe('a line counts by its path', () => {
  test.each([
    ['GET /a HTTP/1.1', '/a'],
    ['GET /a?b=c&d=%20 HTTP/1.0', '/a?b=c&d=%20'],
    ['GET /a', '/a'],
    ['GET /say\\"hello\\" HTTP/1.1', '/say\\"hello\\"'],
    ['OPTIONS * HTTP/1.0', '*'],
    ['GET http://example.org/ HTTP/1.1', 'http://example.org/'],
    // As awk '{print $7}' reads it.
    ['GET /a b HTTP/1.1', '/a'],
  ])('%s', async (request, key) => {
    expect((await one(line(request)))?.found).toMatchObject({ counter: 'clicks', key, delta: 1 })
  })

  test.each([
    ['an IPv6 address', line('GET /a HTTP/1.1', { ip: '2001:db8::1' })],
    ['a user with spaces', line('GET /a HTTP/1.1', { user: 'Frank [x] Smith' })],
    ['a size of -', line('GET /a HTTP/1.1', { tail: `304 - ${AGENT}` })],
    ['the common format', line('GET /a HTTP/1.1', { tail: '200 12' })],
    ['an agent that was cut', line('GET /a HTTP/1.1', { tail: '200 12 "-" "Mozilla/5.0 (compa' })],
    ['fields behind the agent', line('GET /a HTTP/1.1', { tail: `200 12 ${AGENT} 0.002 "x"` })],
    ['a line break of Windows', `${line('GET /a HTTP/1.1')}\r`],
  ])('with %s', async (_what, text) => {
    expect((await one(text))?.found?.key).toBe('/a')
  })
})

test.each([
  ['ip', '1.2.3.4'],
  ['status', '200'],
  ['method', 'GET'],
  ['user', 'frank'],
  ['referer', 'http://example.org/'],
  ['agent', 'curl/8.0'],
])('a line can count by its %s', async (key, expected) => {
  const text = line('GET /a HTTP/1.1', { user: 'frank', tail: '200 12 "http://example.org/" "curl/8.0"' })
  expect((await one(text, key))?.found?.key).toBe(expected)
})

test('bytes can be added instead of 1; - is none', async () => {
  expect((await one(line('GET /a HTTP/1.1'), 'path', 'bytes'))?.found?.delta).toBe(12)
  expect((await one(line('GET /a HTTP/1.1', { tail: '304 -' }), 'path', 'bytes'))?.found?.delta).toBe(0)
})

test('the time is that of the line, with its offset', async () => {
  const times = ['17/May/2015:10:05:03 +0000', '17/May/2015:12:05:03 +0200', '17/May/2015:04:35:03 -0530']
  for (const time of times) {
    expect((await one(line('GET /a', { time })))?.found?.timeMs).toBe(Date.UTC(2015, 4, 17, 10, 5, 3))
  }
})

describe('a line is skipped with its reason', () => {
  test.each([
    ['hello', /not a line of/],
    [line('-'), /names no path/],
    [line('\\x16\\x03\\x01'), /names no path/],
    [line('GET /a', { time: '31/Feb/2015:10:05:03 +0000' }), /no time of the calendar/],
    [line('GET /a', { time: '17/Mai/2015:10:05:03 +0000' }), /no time of the calendar/],
    [line('GET /a', { time: '17/May/1969:10:05:03 +0000' }), /before 1970/],
    [line('GET /a', { time: '17/May/2999:10:05:03 +0000' }), /a day ahead/],
    [line(`GET /${'x'.repeat(1_024)} HTTP/1.1`), /more than 1024 characters/],
    ['x'.repeat(100_000), /longer than/],
  ])('%.40s', async (text, reason) => {
    const record = await one(text)
    expect(record?.found).toBeUndefined()
    expect(record?.flaw).toMatch(reason)
  })

  test('where its bytes are no UTF-8', async () => {
    const bytes = Buffer.concat([Buffer.from('GET /'), Buffer.from([0xe4, 0x0a])])
    const fields = { counter: 'clicks', key: 'path', time: undefined, delta: undefined }
    for await (const [record] of readCombined(Readable.from([bytes]), fields)) {
      if (record !== undefined) expect(record.flaw).toMatch(/UTF-8/)
    }
  })
})

test('a last line that may still be being written is left for later', async () => {
  const whole = line('GET /a HTTP/1.1')
  const records = await read(`${whole}\n${whole.slice(0, -4)}`)
  expect(records.map(({ found, flaw }) => found?.key ?? flaw)).toEqual([
    '/a',
    expect.stringMatching(/unfinished/),
  ])
  expect((await read(whole))[0]?.found?.key).toBe('/a')
})

test('records keep their line numbers over empty and skipped lines, however the file is cut into chunks', async () => {
  const text = `\n${line('GET /a')}\n\nbad\n${line('GET /ü')}\n`
  const expected = [
    [2, '/a'],
    [4, undefined],
    [5, '/ü'],
  ]
  const bytes = Buffer.from(text)
  const fields = { counter: 'clicks', key: 'path', time: undefined, delta: undefined }
  for (const size of [1, 2, 3, 7, 50, 1_000]) {
    const chunks: Buffer[] = []
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
    const records: ImportRecord[] = []
    for await (const part of readCombined(Readable.from(chunks), fields)) records.push(...part)
    expect(records.map((record) => [record.line, record.found?.key])).toEqual(expected)
  }
})
