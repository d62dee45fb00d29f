import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Counters } from '../../src/core/counter.ts'
import { type Composed, startComposed } from '../support/composed.ts'
import { type Problem, ReadingClient } from '../support/reading-client.ts'
import { SeededRandom } from '../support/seeded-random.ts'

const COUNTERS: Counters = new Map([
  ['clicks', { name: 'clicks', from: 'events', series: 'minute' }],
  ['likes', { name: 'likes', from: 'events', series: 'minute' }],
  ['plain', { name: 'plain', from: 'events', series: 'none' }],
])

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

  test('any window of any zone equals the sum of its minutes', async () => {
    const fromMs = Date.parse('2026-10-23T00:00:00Z')
    const random = new SeededRandom(26)
    const events = Array.from({ length: 3_000 }, () => ({
      key: 'spread',
      delta: random.between(1, 9),
      time: new Date(fromMs + random.between(0, 4 * 86_400_000 - 1)).toISOString(),
    }))
    await send(events)
    const series = (query: string) =>
      get<Series>(
        `/v1/counters/clicks/spread/series?from=2026-10-23T00:00:00Z&to=2026-10-27T00:00:00Z&fill=zero&${query}`,
      ).then(({ buckets }) => buckets)
    const minutes = (await series('window=minute')).map(({ timestamp, count }) => ({
      ms: Date.parse(timestamp),
      count,
    }))
    expect(minutes.reduce((sum, { count }) => sum + count, 0)).toBe(
      events.reduce((sum, { delta }) => sum + delta, 0),
    )
    for (const tz of ['UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'America/St_Johns', 'Australia/Lord_Howe']) {
      for (const window of ['hour', 'day']) {
        const windows = await series(`window=${window}&tz=${tz}`)
        for (const [index, { timestamp, count }] of windows.entries()) {
          const startMs = Date.parse(timestamp)
          const endMs = Date.parse(windows[index + 1]?.timestamp ?? '9999-01-01')
          const naive = minutes.filter(({ ms }) => ms >= startMs && ms < endMs)
          const sum = naive.reduce((total, minute) => total + minute.count, 0)
          expect([tz, timestamp, count]).toEqual([tz, timestamp, sum])
        }
      }
    }
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
