import { randomUUID } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Access, OPEN_ACCESS } from '../../src/core/access.ts'
import type { Counts } from '../../src/core/batch.ts'
import type { TallyError } from '../../src/core/errors.ts'
import { createAcceptEvent } from '../../src/intake/accept-event.ts'
import { createGroupCommit } from '../../src/intake/group-commit.ts'
import { type Answer, type IntakeService, problemOf, startIntakeService } from '../support/intake-service.ts'

let tally: IntakeService
beforeAll(async () => {
  tally = await startIntakeService()
})
afterAll(() => tally.stop())
afterEach(async () => {
  expect(await tally.ledger()).toMatchObject({ difference: 0, pending: 0 })
})

function counts({ status, text }: Answer): Counts {
  expect(status, text).toBe(200)
  const { received, counted, duplicate, position } = JSON.parse(text)
  expect(typeof position).toBe('string')
  return { received, counted, duplicate }
}

const events = (key: string, count: number) =>
  Array.from({ length: count }, () => ({ counter: 'clicks', key }))

describe('every shape of an event is counted', () => {
  test('one event, without and with a delta', async () => {
    const one = await tally.post('/v1/events', '{"counter":"clicks","key":"one"}')
    expect(counts(one)).toEqual({ received: 1, counted: 1, duplicate: 0 })
    expect(one.headers.get('content-type')).toBe('application/json; charset=utf-8')
    await tally.post('/v1/events', '{"counter":"clicks","key":"one","delta":-5}')
    expect(await tally.value('clicks', 'one')).toBe(-4)
  })

  test('an array, up to ten thousand at once', async () => {
    const answer = await tally.post('/v1/events', JSON.stringify(events('array', 10_000)))
    expect(counts(answer)).toEqual({ received: 10_000, counted: 10_000, duplicate: 0 })
    expect(await tally.value('clicks', 'array')).toBe(10_000)
  })

  test('an empty array is a batch of none, at the position of now', async () => {
    expect(counts(await tally.post('/v1/events', '[]'))).toEqual({ received: 0, counted: 0, duplicate: 0 })
  })

  test('lines', async () => {
    const lines = events('lines', 7).map((event) => JSON.stringify(event))
    for (const type of ['application/x-ndjson', 'application/ndjson', 'application/jsonl; charset=utf-8']) {
      const answer = await tally.post('/v1/events', `\n${lines.join('\r\n')}\n`, { 'content-type': type })
      expect(counts(answer).counted).toBe(7)
    }
    expect(await tally.value('clicks', 'lines')).toBe(21)
  })

  test('a body without a media type is JSON', async () => {
    const body = new TextEncoder().encode('{"counter":"clicks","key":"untyped"}')
    const response = await fetch(`${tally.url}/v1/events`, { method: 'POST', body })
    expect(response.status).toBe(200)
    expect(await tally.value('clicks', 'untyped')).toBe(1)
  })

  test('a compressed body and a body in chunks', async () => {
    const body = JSON.stringify(events('packed', 1_000))
    const packed = await tally.post('/v1/events', new Uint8Array(gzipSync(body)), {
      'content-encoding': 'gzip',
    })
    expect(counts(packed).counted).toBe(1_000)
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < body.length; at += 999) {
          controller.enqueue(new TextEncoder().encode(body.slice(at, at + 999)))
        }
        controller.close()
      },
    })
    const init = {
      method: 'POST',
      body: stream,
      duplex: 'half',
      headers: { 'content-type': 'application/json' },
    }
    expect((await fetch(`${tally.url}/v1/events`, init as RequestInit)).status).toBe(200)
    expect(await tally.value('clicks', 'packed')).toBe(2_000)
  })

  test('a CloudEvent, structured, in a batch and binary: each once, by source and id', async () => {
    const seen = { specversion: '1.0', type: 'banner.seen', source: '/web', id: 'c-1', subject: 'ce' }
    const type = (suffix: string) => ({
      'content-type': `application/cloudevents${suffix}+json; charset=UTF-8`,
    })
    const first = await tally.post('/v1/events', JSON.stringify(seen), type(''))
    expect(counts(first)).toEqual({ received: 1, counted: 1, duplicate: 0 })
    const batch = [seen, { ...seen, id: 'c-2' }, { ...seen, source: '/app' }]
    const second = await tally.post('/v1/events', JSON.stringify(batch), type('-batch'))
    expect(counts(second)).toEqual({ received: 3, counted: 2, duplicate: 1 })
    const headers = {
      'ce-specversion': '1.0',
      'ce-type': 'banner.seen',
      'ce-source': '/web',
      'ce-subject': 'ce',
    }
    expect(counts(await tally.post('/v1/events', undefined, { ...headers, 'ce-id': 'c-3' })).counted).toBe(1)
    expect(counts(await tally.post('/v1/events', 'x', { ...headers, 'ce-id': 'c-2' })).duplicate).toBe(1)
    expect(counts(await tally.post('/v1/events', '[]', type('-batch'))).received).toBe(0)
    expect(await tally.value('seen', 'ce')).toBe(4)
  })

  test('a CloudEvent feeds every counter that names its type', async () => {
    const paid = { specversion: '1.0', type: 'order.paid', source: '/shop', id: '1' }
    const body = JSON.stringify({ ...paid, data: { customer: 42, shop: 'north', total: 250 } })
    const structured = { 'content-type': 'application/cloudevents+json' }
    expect(counts(await tally.post('/v1/events', body, structured)).counted).toBe(2)
    expect(await tally.value('spent', '42')).toBe(250)
    expect(await tally.value('orders', 'north')).toBe(1)
  })

  test('an addition answers the reading after it', async () => {
    const first = await tally.post('/v1/counters/unread/u%2F1', '{"delta":3}')
    expect(JSON.parse(first.text)).toMatchObject({ counter: 'unread', key: 'u/1', value: 3 })
    const second = await tally.post('/v1/counters/unread/u%2F1')
    const reading = JSON.parse(second.text)
    expect(reading).toMatchObject({ value: 4 })
    expect(reading.version).toBeGreaterThan(JSON.parse(first.text).version)
    const read = await fetch(`${tally.url}/v1/counters/unread/u%2F1?wait=${reading.position}`)
    expect(Object.keys(reading)).toEqual(Object.keys((await read.json()) as object))
  })

  test('a click is an empty body; one with an id can be sent again', async () => {
    for (let sent = 0; sent < 3; sent++) counts(await tally.post('/stats/b-1'))
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    counts(await tally.post('/stats/b-1', '', form))
    const id = randomUUID()
    expect(counts(await tally.post('/stats/b-1', JSON.stringify({ id }))).counted).toBe(1)
    expect(counts(await tally.post('/stats/b-1', JSON.stringify({ id }))).duplicate).toBe(1)
    expect(await tally.value('clicks', 'b-1')).toBe(5)
  })

  test('an event is counted in the minute it tells', async () => {
    const time = '2026-01-02T03:04:05.678+01:00'
    await tally.post('/v1/events', JSON.stringify({ counter: 'clicks', key: 'then', time }))
    const range = 'from=2026-01-02T00:00:00Z&to=2026-01-03T00:00:00Z&window=minute'
    const response = await fetch(`${tally.url}/v1/counters/clicks/then/series?${range}`)
    const { buckets } = (await response.json()) as { buckets: { timestamp: string; count: number }[] }
    const filled = buckets.filter(({ count }) => count > 0)
    expect(filled.map(({ timestamp, count }) => [Date.parse(timestamp), count])).toEqual([
      [Date.UTC(2026, 0, 2, 2, 4), 1],
    ])
  })
})

describe('an id is counted once', () => {
  test('whatever route and shape bring it again', async () => {
    const id = randomUUID()
    const one = { counter: 'clicks', key: 'once', id }
    expect(counts(await tally.post('/v1/events', JSON.stringify([one, one])))).toEqual({
      received: 2,
      counted: 1,
      duplicate: 1,
    })
    expect(counts(await tally.post('/v1/events', JSON.stringify(one))).duplicate).toBe(1)
    const added = await tally.post('/v1/counters/clicks/once', JSON.stringify({ id }))
    expect(JSON.parse(added.text).value).toBe(1)
    expect(counts(await tally.post('/stats/once', JSON.stringify({ id }))).duplicate).toBe(1)
  })

  test('also when a hundred requests bring it at once', async () => {
    const body = JSON.stringify({ counter: 'clicks', key: 'rush', id: 'rush-1' })
    const answers = await Promise.all(Array.from({ length: 100 }, () => tally.post('/v1/events', body)))
    expect(answers.map(counts).reduce((sum, { counted }) => sum + counted, 0)).toBe(1)
    expect(await tally.value('clicks', 'rush')).toBe(1)
  })
})

describe('Idempotency-Key', () => {
  const key = (text: string) => ({ 'idempotency-key': text })

  test('the same key and request get the same bytes and count nothing', async () => {
    const body = JSON.stringify(events('again', 3))
    const first = await tally.post('/v1/events', body, key('again-1'))
    await tally.post('/stats/again')
    const second = await tally.post('/v1/events', body, key('"again-1"'))
    expect(first.headers.get('idempotency-replayed')).toBeNull()
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    expect(second.text).toBe(first.text)
    expect(await tally.value('clicks', 'again')).toBe(4)
  })

  test('also after a restart', async () => {
    const first = await tally.post('/stats/restarted', undefined, key('restart-1'))
    await tally.restart()
    const second = await tally.post('/stats/restarted', undefined, key('restart-1'))
    expect(second.text).toBe(first.text)
    expect(await tally.value('clicks', 'restarted')).toBe(1)
  })

  test('with another body, media type or route it is refused', async () => {
    const body = '{"counter":"clicks","key":"other"}'
    counts(await tally.post('/v1/events', body, key('other-1')))
    const answers = [
      await tally.post('/v1/events', `${body} `, key('other-1')),
      await tally.post('/v1/events', body, { ...key('other-1'), 'content-type': 'application/x-ndjson' }),
      await tally.post('/v1/counters/clicks/other', undefined, key('other-1')),
      await tally.post('/stats/other', undefined, key('other-1')),
    ]
    await tally.post('/stats/this', undefined, key('other-2'))
    answers.push(await tally.post('/stats/that', undefined, key('other-2')))
    for (const answer of answers) {
      expect(problemOf(answer)).toMatchObject({ status: 422, code: 'idempotency_mismatch' })
    }
    expect(await tally.value('clicks', 'other')).toBe(1)
  })

  test('a hundred equal requests at once count once; each is answered as the first or told to wait', async () => {
    const body = JSON.stringify(events('crowd', 2))
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => tally.post('/v1/events', body, key('crowd-1'))),
    )
    const counted = answers.filter(({ status }) => status === 200)
    expect(new Set(counted.map(({ text }) => text)).size).toBe(1)
    for (const answer of answers) {
      if (answer.status !== 200)
        expect(problemOf(answer)).toMatchObject({ status: 409, code: 'idempotency_in_flight' })
    }
    expect(await tally.value('clicks', 'crowd')).toBe(2)
  })

  test('a refused request leaves the key free', async () => {
    const refused = await tally.post('/v1/events', '{"counter":"clicks","key":""}', key('free-1'))
    expect(problemOf(refused).code).toBe('invalid_event')
    counts(await tally.post('/v1/events', '{"counter":"clicks","key":"free"}', key('free-1')))
    expect(await tally.value('clicks', 'free')).toBe(1)
  })

  test('an empty batch takes a key, too', async () => {
    const first = await tally.post('/v1/events', '[]', key('empty-1'))
    expect(counts(first).received).toBe(0)
    expect((await tally.post('/v1/events', '[]', key('empty-1'))).text).toBe(first.text)
    const other = await tally.post('/v1/events', '[ ]', key('empty-1'))
    expect(problemOf(other).code).toBe('idempotency_mismatch')
  })

  test.each(['', ' ', 'a b', 'x'.repeat(257), '"open', '""'])('the key %j is refused', async (text) => {
    const answer = await tally.post('/v1/events', '{"counter":"clicks","key":"k"}', key(text))
    expect(problemOf(answer)).toMatchObject({ code: 'invalid_idempotency_key', at: 'Idempotency-Key' })
  })
})

test('200 additions at once all count, and the last answer is the value', async () => {
  const answers = await Promise.all(Array.from({ length: 200 }, () => tally.post('/v1/counters/clicks/many')))
  const values = answers.map(({ text }) => Number(JSON.parse(text).value))
  expect(Math.max(...values)).toBe(200)
  expect(await tally.value('clicks', 'many')).toBe(200)
})

test('an event that would take a value out of the exact numbers refuses its whole request', async () => {
  const huge = { counter: 'clicks', key: 'huge', delta: 1_000_000_000_000 }
  const batch = JSON.stringify(Array.from({ length: 9_000 }, () => huge))
  counts(await tally.post('/v1/events', batch))
  const answer = await tally.post(
    '/v1/events',
    JSON.stringify([{ counter: 'clicks', key: 'calm' }, ...JSON.parse(batch)]),
  )
  expect(problemOf(answer)).toMatchObject({ status: 422, code: 'value_out_of_range' })
  expect(await tally.value('clicks', 'huge')).toBe(9e15)
  expect(await tally.value('clicks', 'calm')).toBe(0)
})

describe('events that are no requests of their own', () => {
  const READER: Access = { principal: 'key:reader', allows: (scope) => scope === 'read', mayRead: () => true }

  test('are judged like others, need the scope write, and are acknowledged when durable', async () => {
    const { store } = tally.service.opened
    const commit = createGroupCommit((batch) => store.apply(batch), {
      stream: 'messages',
      ledger: [],
      onChanged: () => {},
      onCommit: () => {},
    })
    const counters = new Map([['clicks', { name: 'clicks', from: 'events', series: 'minute' } as const]])
    const accept = createAcceptEvent({ commit, counters, now: Date.now })
    const send = (body: string, access: Access = OPEN_ACCESS) =>
      new Promise<{ error: TallyError | undefined; receipt: (Counts & { position: string }) | undefined }>(
        (resolve) => accept(Buffer.from(body), access, (error, receipt) => resolve({ error, receipt })),
      )
    const event = '{"type":"event","ref":7,"counter":"clicks","key":"message","id":"m-1"}'
    const { receipt } = await send(event)
    expect(receipt).toMatchObject({ received: 1, counted: 1, duplicate: 0 })
    expect(store.positions.reached(receipt?.position ?? '')).toBe(true)
    expect((await send(event)).receipt).toMatchObject({ duplicate: 1 })
    expect((await send(event, READER)).error?.code).toBe('forbidden')
    expect((await send('{"counter":"clicks"}')).error?.code).toBe('invalid_event')
    expect((await send('{')).error?.code).toBe('malformed_json')
    expect(commit.ledger().at(-1)).toMatchObject({ received: 5, counted: 1, duplicate: 1, rejected: 3 })
    await commit.drain()
  })
})
