import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type IntakeService, startIntakeService } from '../support/intake-service.ts'
import { sendRaw } from '../support/raw-http.ts'

const CLOSED_MS_MAX = 15_000

let tally: IntakeService
beforeAll(async () => {
  tally = await startIntakeService()
})
afterAll(() => tally.stop())

let clicks = 0
afterEach(async () => {
  expect((await tally.post('/stats/after-all')).status).toBe(200)
  clicks++
  expect(await tally.value('clicks', 'after-all')).toBe(clicks)
  expect(await tally.ledger()).toMatchObject({ difference: 0, pending: 0 })
})

const EVENT = '{"counter":"clicks","key":"raw"}'
const HEAD = 'POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n'
const LENGTH = `Content-Length: ${EVENT.length}\r\n`

describe('slow clients', () => {
  const slow = { everyMs: 500 }
  const CLIENTS: readonly (readonly [string, string, { text: string; everyMs: number } | undefined])[] = [
    ['headers that come one by one', HEAD, { text: 'X-Slow: 1\r\n', ...slow }],
    ['a header that never ends', `${HEAD}X-Long: `, { text: 'a', ...slow }],
    ['a request line that never ends', 'POST /v1/ev', { text: 'e', ...slow }],
    ['a body that comes byte by byte', `${HEAD}Content-Length: 1000\r\n\r\n${EVENT}`, { text: ' ', ...slow }],
    ['a body that stops', `${HEAD}Content-Length: 1000\r\n\r\n${EVENT}`, undefined],
    ['chunks that never end', `${HEAD}Transfer-Encoding: chunked\r\n\r\n`, { text: '1\r\n \r\n', ...slow }],
    [
      'a compressed body that never starts',
      `${HEAD}Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n`,
      undefined,
    ],
  ]

  // All at once, as each takes its time.
  test('are told so and closed within 15 s, and nothing of them counts', async () => {
    const answers = CLIENTS.map(async ([name, text, drip]) => {
      const { text: answer, closedAfterMs } = await sendRaw(
        tally.url,
        text,
        drip === undefined ? {} : { drip },
      )
      expect(closedAfterMs, name).toBeLessThan(CLOSED_MS_MAX + 500)
      expect(answer, name).toMatch(/^HTTP\/1\.1 408 [\s\S]*"code":"request_timeout"/)
    })
    await Promise.all(answers)
    expect(await tally.value('clicks', 'raw')).toBe(0)
  })

  test('while a thousand of them hang, others are served', async () => {
    const sockets = Array.from({ length: 1_000 }, () => {
      const socket = connect(Number(new URL(tally.url).port), '127.0.0.1')
      socket.on('error', () => {})
      socket.write(`${HEAD}Content-Length: 1000\r\n\r\n{"coun`)
      return socket
    })
    try {
      const startMs = performance.now()
      for (let sent = 0; sent < 50; sent++) {
        expect((await tally.post('/stats/served')).status).toBe(200)
      }
      expect(performance.now() - startMs).toBeLessThan(5_000)
    } finally {
      for (const socket of sockets) socket.destroy()
    }
    expect(await tally.value('clicks', 'served')).toBe(50)
    expect(await tally.value('clicks', 'raw')).toBe(0)
  })
})

describe('what is no proper request is refused and counts nothing', () => {
  const close = 'Connection: close\r\n'
  test.each<[string, string, RegExp]>([
    ['a body longer than it says', `${HEAD}${close}Content-Length: 30\r\n\r\n${EVENT}`, /^HTTP\/1\.1 400 /],
    ['a length that is no number', `${HEAD}Content-Length: many\r\n\r\n${EVENT}`, /^HTTP\/1\.1 400 /],
    ['a negative length', `${HEAD}Content-Length: -1\r\n\r\n${EVENT}`, /^HTTP\/1\.1 400 /],
    ['two lengths', `${HEAD}${LENGTH}Content-Length: 5\r\n\r\n${EVENT}`, /^HTTP\/1\.1 400 /],
    [
      'a length and chunks',
      `${HEAD}${LENGTH}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${EVENT}`,
      /^HTTP\/1\.1 400 /,
    ],
    [
      'a chunk of no size',
      `${HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n${EVENT}\r\n`,
      /^HTTP\/1\.1 400 /,
    ],
    [
      'an unknown transfer coding',
      `${HEAD}Transfer-Encoding: gzip\r\n\r\n${EVENT}`,
      /^HTTP\/1\.1 [45]0[01] /,
    ],
    ['NUL in a header', `${HEAD}Idempotency-Key: a\u0000b\r\n${LENGTH}\r\n${EVENT}`, /^HTTP\/1\.1 400 /],
    ['a line feed in a header', `${HEAD}Idempotency-Key: a\nb\r\n${LENGTH}\r\n${EVENT}`, /^HTTP\/1\.1 400 /],
    ['no host', `POST /v1/events HTTP/1.1\r\n${LENGTH}\r\n${EVENT}`, /^HTTP\/1\.1 400 /],
    ['another protocol', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001', /^HTTP\/1\.1 400 /],
    [
      '10,000 headers',
      `${HEAD}${'X: 1\r\n'.repeat(10_000)}${LENGTH}\r\n${EVENT}`,
      /^HTTP\/1\.1 431 [\s\S]*headers_too_large/,
    ],
    [
      'more headers than are read',
      `${HEAD}${close}${'X: 1\r\n'.repeat(200)}${LENGTH}\r\n${EVENT}`,
      /^HTTP\/1\.1 431 [\s\S]*headers_too_large/,
    ],
    [
      'an Idempotency-Key twice',
      `${HEAD}${close}Idempotency-Key: a\r\nIdempotency-Key: b\r\n${LENGTH}\r\n${EVENT}`,
      /^HTTP\/1\.1 400 [\s\S]*invalid_idempotency_key/,
    ],
    [
      'an empty Idempotency-Key',
      `${HEAD}${close}Idempotency-Key:\r\n${LENGTH}\r\n${EVENT}`,
      /^HTTP\/1\.1 400 [\s\S]*invalid_idempotency_key/,
    ],
    [
      'a CloudEvents attribute twice',
      `POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n${close}ce-specversion: 1.0\r\nce-id: 1\r\nce-id: 2\r\nce-source: /s\r\nce-type: banner.seen\r\nce-subject: s\r\n\r\n`,
      /^HTTP\/1\.1 400 [\s\S]*header ce-id/,
    ],
  ])('%s', async (_name, text, answer) => {
    const { rejected, counted } = await tally.ledger()
    expect((await sendRaw(tally.url, text)).text).toMatch(answer)
    const after = await tally.ledger()
    expect(after.counted).toBe(counted)
    expect(after.rejected - rejected).toBeLessThanOrEqual(1)
    expect(await tally.value('clicks', 'raw')).toBe(0)
  })
})

test('a client that leaves in the middle of its body counts nothing', async () => {
  const { received } = await tally.ledger()
  await new Promise<void>((resolve) => {
    const socket = connect(Number(new URL(tally.url).port), '127.0.0.1')
    socket.on('close', () => resolve())
    socket.write(`${HEAD}Content-Length: 1000\r\n\r\n[${EVENT},`, () => socket.destroy())
  })
  expect((await tally.ledger()).received).toBe(received)
})

test('a client that leaves before its answer has counted, once', async () => {
  const body = '{"counter":"clicks","key":"left","id":"left-1"}'
  const text = `${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`
  await new Promise<void>((resolve) => {
    const socket = connect(Number(new URL(tally.url).port), '127.0.0.1')
    socket.on('close', () => resolve())
    socket.write(text, () => socket.end())
    socket.resume()
  })
  expect((await tally.post('/v1/events', body)).status).toBe(200)
  expect(await tally.value('clicks', 'left')).toBe(1)
})
