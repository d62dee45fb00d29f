import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Counters } from '../../src/core/counter.ts'
import { type Composed, startComposed } from '../support/composed.ts'

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
interface Problem {
  status: number
  code: string
  at?: string
  expected?: string
  got?: string
}

let composed: Composed
let url = ''
/** 2026-11-21T10:30:15Z, and then the passing of real time. */
const startedMs = Date.now()
const now = () => Date.parse('2026-11-21T10:30:15Z') + Date.now() - startedMs

beforeAll(async () => {
  composed = await startComposed({ counters: COUNTERS, port: 0 }, { now })
  url = await composed.service.listen()
})
afterAll(() => composed.stop())

async function send(events: readonly Record<string, unknown>[]): Promise<string> {
  const response = await fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(events.map((event) => ({ counter: 'clicks', ...event }))),
  })
  expect(response.status).toBe(200)
  return ((await response.json()) as { position: string }).position
}

async function get<Body>(path: string, headers: Record<string, string> = {}): Promise<Body> {
  const response = await fetch(url + path, { headers })
  expect([path, response.status, response.status === 200 ? '' : await response.clone().text()]).toEqual([
    path,
    200,
    '',
  ])
  return (await response.json()) as Body
}

async function problem(path: string, headers: Record<string, string> = {}): Promise<Problem> {
  const response = await fetch(url + path, { headers })
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  const body = (await response.json()) as Problem
  expect(body.status).toBe(response.status)
  return body
}

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

interface Series {
  counter: string
  key: string
  window: string
  tz: string
  buckets: { timestamp: string; count: number }[]
}

describe('a series', () => {
  test('minutes, hours and days of the same events', async () => {
    await send([
      { key: 's', time: '2026-10-24T22:30:00Z', delta: 1 },
      { key: 's', time: '2026-10-25T00:30:59Z', delta: 2 },
      { key: 's', time: '2026-10-25T01:30:00Z', delta: 4 },
      { key: 's', time: '2026-10-25T22:59:59Z', delta: 8 },
      { key: 's', time: '2026-10-25T23:00:00Z', delta: 16 },
    ])
    const range = 'from=2026-10-24T22:00:00Z&to=2026-10-26T00:00:00Z'
    const series = (query: string) => get<Series>(`/v1/counters/clicks/s/series?${range}&${query}`)
    const utc = await series('window=day')
    expect([utc.counter, utc.key, utc.window, utc.tz]).toEqual(['clicks', 's', 'day', 'UTC'])
    expect(utc.buckets).toEqual([
      { timestamp: '2026-10-24T00:00:00Z', count: 1 },
      { timestamp: '2026-10-25T00:00:00Z', count: 30 },
    ])
    // The 25th has 25 hours in Berlin.
    expect((await series('window=day&tz=Europe/Berlin')).buckets).toEqual([
      { timestamp: '2026-10-25T00:00:00+02:00', count: 15 },
      { timestamp: '2026-10-26T00:00:00+01:00', count: 16 },
    ])
    expect((await series('window=hour&tz=Europe/Berlin')).buckets).toEqual([
      { timestamp: '2026-10-25T00:00:00+02:00', count: 1 },
      { timestamp: '2026-10-25T02:00:00+02:00', count: 2 },
      { timestamp: '2026-10-25T02:00:00+01:00', count: 4 },
      { timestamp: '2026-10-25T23:00:00+01:00', count: 8 },
      { timestamp: '2026-10-26T00:00:00+01:00', count: 16 },
    ])
    expect((await series('window=minute')).buckets.map(({ timestamp }) => timestamp)).toEqual([
      '2026-10-24T22:30:00Z',
      '2026-10-25T00:30:00Z',
      '2026-10-25T01:30:00Z',
      '2026-10-25T22:59:00Z',
      '2026-10-25T23:00:00Z',
    ])
    expect((await series('window=day&tz=Asia/Kathmandu')).buckets).toEqual([
      { timestamp: '2026-10-25T00:00:00+05:45', count: 7 },
      { timestamp: '2026-10-26T00:00:00+05:45', count: 24 },
    ])
  })

  test('fill=zero lists the windows in which nothing was counted', async () => {
    const { buckets } = await get<Series>(
      '/v1/counters/clicks/s/series?from=2026-10-25T00:30:00Z&to=2026-10-25T00:33:00Z&fill=zero',
    )
    expect(buckets.map(({ count }) => count)).toEqual([2, 0, 0])
  })

  test('without a range it is the last 60 minutes, 24 hours or 30 days', async () => {
    for (const [window, windows] of [
      ['minute', 60],
      ['hour', 24],
      ['day', 30],
    ]) {
      const { buckets } = await get<Series>(`/v1/counters/clicks/s/series?window=${window}&fill=zero`)
      expect(buckets).toHaveLength(Number(windows))
      expect(Date.parse(buckets.at(-1)?.timestamp ?? '')).toBeLessThanOrEqual(now())
    }
  })

  test('as CSV where Accept prefers it', async () => {
    const path = `${url}/v1/counters/clicks/s/series?from=2026-10-24T00:00:00Z&to=2026-10-26T00:00:00Z&window=day`
    const response = await fetch(path, { headers: { accept: 'text/csv' } })
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present')
    expect(await response.text()).toBe(
      'timestamp,count\r\n2026-10-24T00:00:00Z,1\r\n2026-10-25T00:00:00Z,30\r\n',
    )
    const either = await fetch(path, { headers: { accept: 'text/csv;q=0.5, application/json' } })
    expect(either.headers.get('content-type')).toContain('application/json')
    expect(await problem(path.slice(url.length), { accept: 'image/png' })).toMatchObject({
      status: 406,
      code: 'not_acceptable',
    })
  })

  test('exactly as many windows as one answer may hold are answered, one more is refused with the numbers', async () => {
    const minutes = (count: number) =>
      `/v1/counters/clicks/s/series?from=2026-10-01T00:00:00Z&to=${new Date(Date.parse('2026-10-01') + count * 60_000).toISOString()}`
    expect((await get<Series>(`${minutes(11_000)}&fill=zero`)).buckets).toHaveLength(11_000)
    const refused = await problem(minutes(11_001))
    expect(refused).toMatchObject({
      status: 400,
      code: 'range_too_wide',
      at: 'to',
      expected: 'at most 11000 minutes',
      got: 'about 11001 minutes',
    })
  })

  test.each([
    ['from=2026-02-30T00:00:00Z', 'from'],
    ['from=2026-01-01', 'from'],
    ['from=1700000000', 'from'],
    ['to=0001-01-01T00:00:00Z', 'to'],
    ['to=9999-12-31T23:59:59Z', 'to'],
    ['from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z', 'to'],
    ['from=2026-01-01T00:00:00+01:00', 'from'],
    ['from=2026-01-01T00:00:00Z&from=2026-01-02T00:00:00Z', 'from'],
    ['window=week', 'window'],
    ['tz=Mars/Olympus', 'tz'],
    ['tz=', 'tz'],
    [`tz=${'x'.repeat(5_000)}`, 'tz'],
    ['fill=maybe', 'fill'],
    ['windw=day', 'windw'],
  ])('%s is refused by name', async (query, at) => {
    const refused = await problem(`/v1/counters/clicks/s/series?${query}`)
    expect([refused.status, refused.code, refused.at]).toEqual([400, 'invalid_parameter', at])
    expect(refused.expected).toBeTruthy()
  })

  test('a counter that keeps no series says so', async () => {
    expect((await problem('/v1/counters/plain/k/series')).code).toBe('no_series')
  })
})

/** fetch refuses a body on a GET, HTTP does not. */
function getWithBody(path: string, body: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sent = httpRequest(url + path, { method: 'GET', headers })
    sent.on('error', reject)
    sent.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
    })
    sent.end(body)
  })
}

describe('the short form of a banner', () => {
  const range = { tsFrom: '2026-11-20T12:00:00Z', tsTo: '2026-11-20T12:03:00Z' }

  test('the minutes of a range, from the query or from a JSON body', async () => {
    await send([
      { key: '7', time: '2026-11-20T11:59:59Z' },
      { key: '7', time: '2026-11-20T12:00:00Z', delta: 2 },
      { key: '7', time: '2026-11-20T12:02:59Z', delta: 3 },
      { key: '7', time: '2026-11-20T12:03:00Z' },
    ])
    const minutes = [
      { timestamp: '2026-11-20T12:00:00Z', bannerId: '7', count: 2 },
      { timestamp: '2026-11-20T12:02:00Z', bannerId: '7', count: 3 },
    ]
    expect(await get(`/stats/7?${new URLSearchParams(range)}`)).toEqual(minutes)
    const answer = await getWithBody('/stats/7', JSON.stringify(range))
    expect([answer.status, JSON.parse(answer.body)]).toEqual([200, minutes])
    const both = await getWithBody(`/stats/7?tsFrom=${range.tsFrom}`, JSON.stringify({ tsTo: range.tsTo }))
    expect(JSON.parse(both.body)).toEqual(minutes)
  })

  test('a click counts and is in the last 60 minutes at once', async () => {
    expect((await fetch(`${url}/stats/fresh`, { method: 'POST' })).status).toBe(200)
    expect(await get('/stats/fresh')).toMatchObject([{ bannerId: 'fresh', count: 1 }])
  })

  test('CSV keeps a spreadsheet from running a key as a formula', async () => {
    await send([{ key: '=1+"a",b', time: '2026-11-20T12:00:00Z' }])
    const response = await fetch(
      `${url}/stats/${encodeURIComponent('=1+"a",b')}?${new URLSearchParams(range)}`,
      {
        headers: { accept: 'text/csv' },
      },
    )
    expect(await response.text()).toBe(`timestamp,bannerId,count\r\n2026-11-20T12:00:00Z,"'=1+""a"",b",1\r\n`)
  })

  test.each([
    ['{', 400, 'malformed_json', undefined],
    ['[]', 400, 'invalid_parameter', ''],
    ['null', 400, 'invalid_parameter', ''],
    ['{"tsFrom":5}', 400, 'invalid_parameter', '/tsFrom'],
    ['{"tsFrm":"2026-11-20T12:00:00Z"}', 400, 'invalid_parameter', '/tsFrm'],
    ['{"__proto__":"2026-11-20T12:00:00Z"}', 400, 'invalid_parameter', '/__proto__'],
    ['{"tsFrom":"now"}', 400, 'invalid_parameter', 'tsFrom'],
    ['{"tsTo":"2026-11-20T12:00:00Z","tsTo":"2026-11-21T12:00:00Z"}', 400, 'duplicate_member', ''],
    [`{"tsFrom":"${'x'.repeat(5_000)}"}`, 413, 'body_too_large', undefined],
  ])('the body %s is refused by name', async (body, status, code, at) => {
    const answer = await getWithBody('/stats/7', body)
    const refused = JSON.parse(answer.body) as Problem
    expect([answer.status, refused.code, refused.at]).toEqual([status, code, at])
  })

  test('a range of a year by minutes is refused with the numbers', async () => {
    const refused = await problem('/stats/7?tsFrom=2025-11-20T00:00:00Z&tsTo=2026-11-20T00:00:00Z')
    expect([refused.code, refused.at, refused.got]).toEqual([
      'range_too_wide',
      'tsTo',
      'about 525600 minutes',
    ])
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
