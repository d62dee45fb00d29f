import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Counters } from '../../src/core/counter.ts'
import { type Composed, startComposed } from '../support/composed.ts'
import { ReadingClient } from '../support/reading-client.ts'

const COUNTERS: Counters = new Map([
  ['clicks', { name: 'clicks', from: 'events', series: 'minute' }],
  ['likes', { name: 'likes', from: 'events', series: 'minute' }],
  ['plain', { name: 'plain', from: 'events', series: 'none' }],
])

interface Reading {
  counter: string
  key: string
  value: number
  version: number
  position: string
  asOf: string
}
let composed: Composed
let url = ''
let client: ReadingClient
/** 2026-11-21T10:30:15Z, and then the passing of real time. */
const startedMs = Date.now()
const now = () => Date.parse('2026-11-21T10:30:15Z') + Date.now() - startedMs

beforeAll(async () => {
  composed = await startComposed({ counters: COUNTERS, port: 0 }, { now })
  url = await composed.service.listen()
  client = new ReadingClient(url)
})
afterAll(() => composed.stop())

const send: ReadingClient['send'] = (events) => client.send(events)
const get: ReadingClient['get'] = (path, headers) => client.get(path, headers)
const problem: ReadingClient['problem'] = (path, headers) => client.problem(path, headers)

describe('a reading', () => {
  test('a key that never counted reads 0 at version 0', async () => {
    const reading = await get<Reading>('/v1/counters/clicks/nobody')
    expect(reading).toMatchObject({ counter: 'clicks', key: 'nobody', value: 0, version: 0 })
    expect(Math.abs(Date.parse(reading.asOf) - now())).toBeLessThan(2_000)
  })

  test('is absolute, and its version grows with every change', async () => {
    await send([{ key: 'a', delta: 3 }])
    const first = await get<Reading>('/v1/counters/clicks/a')
    await send([{ key: 'a', delta: -1 }])
    const second = await get<Reading>('/v1/counters/clicks/a')
    expect([first.value, second.value]).toEqual([3, 2])
    expect(second.version).toBeGreaterThan(first.version)
  })

  test('any key that can be counted can be read: slashes, commas, percent signs, emoji, many characters', async () => {
    const keys = ['a/b', 'a,b', '100%', '€ 5?&=#', '🍌🍌', '/', '%2F', 'é'.repeat(256), '🍌'.repeat(256)]
    await send(keys.map((key, index) => ({ key, delta: index + 10 })))
    for (const [index, key] of keys.entries()) {
      const reading = await get<Reading>(`/v1/counters/clicks/${encodeURIComponent(key)}`)
      expect([reading.key, reading.value]).toEqual([key, index + 10])
    }
  })

  test('an unchanged value answers 304 to its ETag, a changed one 200', async () => {
    await send([{ key: 'tagged' }])
    const etag = (await fetch(`${url}/v1/counters/clicks/tagged`)).headers.get('etag') ?? ''
    const ask = (tag: string) =>
      fetch(`${url}/v1/counters/clicks/tagged`, {
        headers: { 'if-none-match': tag, 'cache-control': 'no-cache' },
      })
    const same = await ask(`"other", ${etag}`)
    expect([same.status, await same.text(), same.headers.get('etag')]).toEqual([304, '', etag])
    expect((await ask('*')).status).toBe(304)
    expect((await ask('"other"')).status).toBe(200)
    await send([{ key: 'tagged' }])
    const changed = await ask(etag)
    expect([changed.status, changed.headers.get('etag') === etag]).toEqual([200, false])
  })

  test('HEAD tells the same headers without a body', async () => {
    const response = await fetch(`${url}/v1/counters/clicks/tagged`, { method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([200, ''])
    expect(response.headers.get('etag')).not.toBeNull()
  })
})

describe('a read that waits', () => {
  test('a position that was acknowledged has been reached', async () => {
    const wait = await send([{ key: 'waited', delta: 7 }])
    const reading = await get<Reading>(`/v1/counters/clicks/waited?wait=${wait}&timeout=0ms`)
    expect(reading.value).toBe(7)
  })

  test('a position ahead is waited for, and the reading then contains it', async () => {
    const last = await send([{ key: 'ahead' }])
    const [epoch, seq] = last.split('-')
    const next = `${epoch}-${Number(seq) + 1}`
    const waiting = get<Reading>(`/v1/counters/clicks/ahead?wait=${next}&timeout=10s`)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await send([{ key: 'ahead' }])
    expect((await waiting).value).toBe(2)
  })

  test('a position that is not reached in time is a 409, on every route that waits', async () => {
    const [epoch] = (await send([{ key: 'late' }])).split('-')
    for (const path of ['/clicks/late', '/clicks', '/clicks/top', '/clicks/late/series']) {
      const startMs = Date.now()
      const refused = await problem(`/v1/counters${path}?wait=${epoch}-999999&timeout=60ms`)
      expect([refused.status, refused.code]).toEqual([409, 'position_not_reached'])
      expect(Date.now() - startMs).toBeGreaterThanOrEqual(50)
    }
  })

  test.each([
    ['wait=elsewhere-1', 'position_unknown', 'wait'],
    ['wait=', 'position_unknown', 'wait'],
    ['timeout=5', 'invalid_parameter', 'timeout'],
    ['timeout=31s', 'invalid_parameter', 'timeout'],
    ['timeout=-1s', 'invalid_parameter', 'timeout'],
    ['timeout=1s&timeout=2s', 'invalid_parameter', 'timeout'],
    ['wat=1', 'invalid_parameter', 'wat'],
  ])('%s is refused by name', async (query, code, at) => {
    const refused = await problem(`/v1/counters/clicks/a?${query}`)
    expect([refused.status, refused.code, refused.at]).toEqual([400, code, at])
  })
})

describe('many readings', () => {
  test('named keys are answered in their order, also those that never counted', async () => {
    await send([
      { counter: 'likes', key: 'x' },
      { counter: 'likes', key: 'y', delta: 2 },
      { counter: 'likes', key: 'p,q' },
    ])
    const { readings } = await get<{ readings: Reading[] }>(
      '/v1/counters/likes?keys=y,none,x&key=p%2Cq&key=x',
    )
    expect(readings.map(({ key, value }) => [key, value])).toEqual([
      ['y', 2],
      ['none', 0],
      ['x', 1],
      ['p,q', 1],
      ['x', 1],
    ])
    expect(new Set(readings.map(({ position }) => position)).size).toBe(1)
  })

  test('pages follow on each other until all keys were read once, in the order of code points', async () => {
    const keys = [
      ...Array.from({ length: 25 }, (_, index) => `page-${index}`),
      '\u{1F34C}',
      '\uFF5E',
      'Z',
      'a',
    ]
    await send(keys.map((key) => ({ counter: 'plain', key })))
    const read: string[] = []
    let cursor: string | undefined = ''
    let pages = 0
    while (cursor !== undefined) {
      const page: { readings: Reading[]; cursor?: string } = await get(
        `/v1/counters/plain?limit=7${cursor === '' ? '' : `&cursor=${cursor}`}`,
      )
      read.push(...page.readings.map(({ key }) => key))
      cursor = page.cursor
      pages++
    }
    expect(pages).toBe(5)
    expect(read).toEqual(
      [...keys].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right))),
    )
  })

  test.each([
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=abc', 'limit'],
    ['cursor=junk', 'cursor'],
    ['cursor=MQpsaWtlcwpYCg', 'cursor'],
    ['keys=a&limit=5', 'limit'],
    ['keys=a&cursor=x', 'cursor'],
    ['keys=a,,b', 'keys'],
    ['keys=', 'keys'],
    ['keys=%00', 'keys'],
    [`keys=${'a,'.repeat(1_000)}a`, 'keys'],
    ['nonsense=1', 'nonsense'],
  ])('%s is refused by name', async (query, at) => {
    const refused = await problem(`/v1/counters/clicks?${query}`)
    expect([refused.status, refused.code, refused.at]).toEqual([400, 'invalid_parameter', at])
  })

  test('a counter that is not declared is a 404 on every route', async () => {
    for (const path of ['/nope', '/nope/k', '/nope/top', '/nope/k/series', '/__proto__/k']) {
      const refused = await problem(`/v1/counters${path}`)
      expect([path, refused.status, refused.code]).toEqual([path, 404, 'unknown_counter'])
    }
  })
})

describe('top', () => {
  test('the highest keys of all time, and of a range', async () => {
    const at = (time: string, key: string, delta: number) => ({ counter: 'likes', key, delta, time })
    await send([
      at('2026-11-01T00:00:30Z', 'old', 50),
      at('2026-11-20T10:00:59Z', 'new', 5),
      at('2026-11-20T10:01:00Z', 'new', 6),
      at('2026-11-20T10:02:00Z', 'newer', 8),
    ])
    const top = (query: string) =>
      get<{ keys: { key: string; value: number }[] }>(`/v1/counters/likes/top?${query}`).then(({ keys }) =>
        keys.map(({ key, value }) => `${key}:${value}`),
      )
    expect(await top('limit=2')).toEqual(['old:50', 'new:11'])
    expect(await top('from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z')).toEqual(['new:11', 'newer:8'])
    // Moved outwards to whole minutes: 10:01 is in, 10:00 is not.
    expect(await top('from=2026-11-20T10:01:30Z&to=2026-11-20T10:02:01Z')).toEqual(['newer:8', 'new:6'])
    expect(await top('to=2026-11-02T00:00:00Z')).toEqual(['old:50'])
  })

  test.each([
    ['/likes/top?from=yesterday', 'invalid_parameter', 'from'],
    ['/likes/top?limit=0', 'invalid_parameter', 'limit'],
    ['/likes/top?from=2026-11-21T00:00:00Z&to=2026-11-21T00:00:00Z', 'invalid_parameter', 'to'],
    ['/likes/top?from=1970-01-01T00:00:00Z&to=2999-01-01T00:00:00Z', 'range_too_wide', 'to'],
  ])('%s is refused by name', async (path, code, at) => {
    const refused = await problem(`/v1/counters${path}`)
    expect([refused.status, refused.code, refused.at]).toEqual([400, code, at])
  })

  test('a range of a counter without a series is refused', async () => {
    const refused = await problem('/v1/counters/plain/top?from=2026-11-20T00:00:00Z')
    expect([refused.status, refused.code]).toEqual([404, 'no_series'])
  })
})

test('the ledger balances and says so', async () => {
  await fetch(`${url}/v1/events`, { method: 'POST', body: '{"counter":"nope","key":"a"}' })
  const { streams } = await get<{ streams: Record<string, number>[] }>('/v1/ledger')
  expect(streams.length).toBeGreaterThan(0)
  for (const line of streams) {
    const { received = 0, counted = 0, duplicate = 0, rejected = 0, pending = 0 } = line
    expect(line.difference).toBe(0)
    expect(received - counted - duplicate - rejected - pending).toBe(0)
    expect(rejected).toBeGreaterThan(0)
  }
})

test('OpenAPI tells every reading route with its parameters', async () => {
  const { paths } = await get<{
    paths: Record<string, { get?: { parameters?: { name: string }[]; requestBody?: object } }>
  }>('/openapi.json')
  const names = (path: string) => paths[path]?.get?.parameters?.map(({ name }) => name).sort()
  expect(names('/v1/counters/{counter}/{key}')).toEqual(['counter', 'key', 'timeout', 'wait'])
  expect(names('/v1/counters/{counter}/{key}/series')).toEqual(
    ['counter', 'fill', 'from', 'key', 'timeout', 'to', 'tz', 'wait', 'window'].sort(),
  )
  expect(names('/v1/counters/{counter}/top')).toEqual(['counter', 'from', 'limit', 'timeout', 'to', 'wait'])
  expect(names('/stats/{bannerId}')).toEqual(['bannerId', 'tsFrom', 'tsTo'])
  expect(paths['/stats/{bannerId}']?.get?.requestBody).toBeDefined()
  expect(paths['/v1/ledger']?.get).toBeDefined()
})
