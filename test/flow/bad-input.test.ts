import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ERRORS } from '../../src/core/errors.ts'
import { type Answer, type IntakeService, problemOf, startIntakeService } from '../support/intake-service.ts'
import { DISPUTED, MALFORMED, MISENCODED, ODD_BUT_SOUND } from '../support/malformed-json.ts'

let tally: IntakeService
beforeAll(async () => {
  tally = await startIntakeService()
})
afterAll(() => tally.stop())

let clicks = 0
/** Whatever was sent: the ledger balances, and one more click is one more. */
afterEach(async () => {
  const { status } = await tally.post('/stats/after-all')
  expect(status).toBe(200)
  clicks++
  expect(await tally.value('clicks', 'after-all')).toBe(clicks)
  expect(await tally.ledger()).toMatchObject({ difference: 0, pending: 0 })
})

const JSON_TYPES = ['application/json', 'application/cloudevents+json', 'application/cloudevents-batch+json']

/** A 2xx, or a 4xx that is documented: its code, its status and its title. */
function assertDocumented(answer: Answer): void {
  if (answer.status === 200) return
  const { code, status } = problemOf(answer)
  expect(Object.keys(ERRORS)).toContain(code)
  expect(ERRORS[code as keyof typeof ERRORS].status).toBe(status)
}

async function rejectedWhile(run: () => Promise<void>): Promise<{ counted: number; rejected: number }> {
  const before = await tally.ledger()
  await run()
  const after = await tally.ledger()
  return { counted: after.counted - before.counted, rejected: after.rejected - before.rejected }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('JSON', () => {
  test(`none of ${MALFORMED.length} malformed texts counts; each is told its place, and kept in the ledger`, async () => {
    expect(new Set(MALFORMED).size).toBeGreaterThanOrEqual(150)
    const { counted, rejected } = await rejectedWhile(async () => {
      for (const type of JSON_TYPES) {
        for (const text of MALFORMED) {
          const problem = problemOf(await tally.post('/v1/events', text, { 'content-type': type }))
          expect(problem, text).toMatchObject({ status: 400, code: 'malformed_json' })
          expect(problem.at, text).toMatch(/^line \d+, column \d+$/)
        }
      }
    })
    expect({ counted, rejected }).toEqual({ counted: 0, rejected: MALFORMED.length * JSON_TYPES.length })
  })

  test('malformed texts inside an event, as a value, as a name, or as a line of many, count nothing', async () => {
    const { counted } = await rejectedWhile(async () => {
      for (const text of MALFORMED) {
        const sound = '{"counter":"clicks","key":"beside"}'
        const bodies: [string, string][] = [
          ['application/json', `{"counter":"clicks","key":"inside","delta":${text}}`],
          ['application/json', `[${sound},${text},${sound}]`],
          ['application/x-ndjson', `${sound}\n{"counter":"clicks","key":${text}}\n${sound}`],
        ]
        for (const [type, body] of bodies) {
          // Two events and a comma are no JSON, but are inside of an array.
          if (type === 'application/json' && isJson(body)) continue
          const answer = await tally.post('/v1/events', body, { 'content-type': type })
          assertDocumented(answer)
          expect(answer.status, body).toBe(400)
        }
      }
    })
    expect(counted).toBe(0)
    expect(await tally.value('clicks', 'beside')).toBe(0)
  })

  test.each(MISENCODED)('%s is refused: no decoder may merge two keys into one', async (_name, bytes) => {
    for (const type of [...JSON_TYPES, 'application/x-ndjson']) {
      const answer = await tally.post('/v1/events', Uint8Array.from(bytes), { 'content-type': type })
      expect(problemOf(answer)).toMatchObject({ status: 400, code: 'invalid_encoding' })
    }
  })

  test(`each of ${DISPUTED.length} texts that parsers take differently has one answer here, and counts nothing`, async () => {
    const { counted, rejected } = await rejectedWhile(async () => {
      for (const [code, text] of DISPUTED) {
        const answer = await tally.post('/v1/events', text)
        expect(problemOf(answer), text.slice(0, 200)).toMatchObject({ code })
        expect(answer.text.length, 'what came is not sent back whole').toBeLessThan(2_000)
      }
    })
    expect({ counted, rejected }).toEqual({ counted: 0, rejected: DISPUTED.length })
  })

  test.each(ODD_BUT_SOUND)('odd but sound: %s', async (body, key, value) => {
    expect((await tally.post('/v1/events', body)).status).toBe(200)
    expect(await tally.value('clicks', key)).toBe(value)
  })

  test('an empty body is told from a malformed one, whatever its media type', async () => {
    for (const type of [...JSON_TYPES]) {
      expect(problemOf(await tally.post('/v1/events', '', { 'content-type': type })).code).toBe('empty_body')
    }
    expect(problemOf(await tally.post('/v1/events')).code).toBe('empty_body')
  })

  test('nothing that was sent comes back unescaped', async () => {
    const script = '<script>alert(1)</script>'
    const answers = [
      await tally.post('/v1/events', JSON.stringify({ counter: script, key: 'k' })),
      await tally.post('/v1/events', JSON.stringify({ counter: 'clicks', key: 'k', [script]: 1 })),
      await tally.post(`/v1/counters/${encodeURIComponent(script)}/k`),
      await tally.post(`/v1/${encodeURIComponent(script)}`),
    ]
    for (const answer of answers) {
      problemOf(answer)
      expect(answer.headers.get('x-content-type-options') ?? 'nosniff').toBe('nosniff')
    }
  })
})

describe('batches', () => {
  const batch = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ counter: 'clicks', key: `batch-${index}` }))

  test.each([0, 617, 999])(
    'of 1,000 events the one at %d is bad: it is named and nothing counts',
    async (bad) => {
      const events = batch(1_000).map((event, index) => (index === bad ? { ...event, delta: 0.5 } : event))
      const lines = events.map((event) => JSON.stringify(event)).join('\n')
      const { counted, rejected } = await rejectedWhile(async () => {
        const array = problemOf(await tally.post('/v1/events', JSON.stringify(events)))
        expect(array).toMatchObject({ code: 'invalid_event', index: bad, at: `/${bad}/delta`, got: '0.5' })
        const answer = await tally.post('/v1/events', lines, { 'content-type': 'application/x-ndjson' })
        expect(problemOf(answer)).toMatchObject({ index: bad, at: `line ${bad + 1}: /delta` })
      })
      expect({ counted, rejected }).toEqual({ counted: 0, rejected: 2_000 })
    },
  )

  test('10,001 events are refused, in every shape', async () => {
    const events = batch(10_001)
    const event = { specversion: '1.0', type: 'banner.seen', source: '/web', subject: 's' }
    const shapes: [string, string][] = [
      ['application/json', JSON.stringify(events)],
      ['application/x-ndjson', events.map((each) => JSON.stringify(each)).join('\n')],
      [
        'application/cloudevents-batch+json',
        JSON.stringify(events.map((each) => ({ ...event, id: each.key }))),
      ],
    ]
    const { counted, rejected } = await rejectedWhile(async () => {
      for (const [type, body] of shapes) {
        const answer = await tally.post('/v1/events', body, { 'content-type': type })
        expect(problemOf(answer)).toMatchObject({ status: 413, code: 'too_many_events', got: '10001' })
      }
    })
    expect({ counted, rejected }).toEqual({ counted: 0, rejected: 30_003 })
  })
})

describe('CloudEvents', () => {
  const SEEN = { specversion: '1.0', type: 'banner.seen', source: '/web', id: 'bad-1', subject: 's' }
  const post = (event: unknown, suffix = '') =>
    tally.post('/v1/events', JSON.stringify(event), {
      'content-type': `application/cloudevents${suffix}+json`,
    })

  test.each(['specversion', 'type', 'source', 'id'])(
    'without %s one is refused, in each mode',
    async (name) => {
      const event = Object.fromEntries(Object.entries(SEEN).filter(([attribute]) => attribute !== name))
      const headers = Object.fromEntries(
        Object.entries(event).map(([attribute, value]) => [`ce-${attribute}`, value]),
      )
      const { counted, rejected } = await rejectedWhile(async () => {
        expect(problemOf(await post(event))).toMatchObject({ code: 'invalid_cloudevent', at: `/${name}` })
        const inBatch = problemOf(await post([SEEN, event], '-batch'))
        expect(inBatch).toMatchObject({ code: 'invalid_cloudevent', at: `/1/${name}`, index: 1 })
        const binary = problemOf(await tally.post('/v1/events', 'data', headers))
        expect(binary).toMatchObject({ code: 'invalid_cloudevent', at: `header ce-${name}` })
      })
      expect({ counted, rejected }).toEqual({ counted: 0, rejected: 4 })
    },
  )

  test('versions mixed in a batch refuse it whole', async () => {
    const problem = problemOf(await post([SEEN, { ...SEEN, id: 'bad-2', specversion: '0.3' }], '-batch'))
    expect(problem).toMatchObject({
      code: 'invalid_cloudevent',
      at: '/1/specversion',
      index: 1,
      got: '"0.3"',
    })
    expect(await tally.value('seen', 's')).toBe(0)
  })

  test('a type that no counter names is refused and named', async () => {
    const problem = problemOf(await post({ ...SEEN, type: 'banner.sen' }))
    expect(problem).toMatchObject({ code: 'invalid_cloudevent', at: '/type', got: '"banner.sen"' })
    expect(problem.expected).toContain('banner.seen')
  })

  test('a format of CloudEvents that is not JSON is 415, also with headers beside it', async () => {
    for (const type of [
      'application/cloudevents+avro',
      'application/cloudevents',
      'application/cloudevents-batch',
    ]) {
      const answer = await tally.post('/v1/events', '{}', { 'content-type': type, 'ce-specversion': '1.0' })
      expect(problemOf(answer)).toMatchObject({ status: 415, code: 'unsupported_media_type' })
    }
  })
})

describe('names in the path', () => {
  test.each([
    ['/stats/%00', 400, 'invalid_parameter'],
    ['/stats/%0A', 400, 'invalid_parameter'],
    ['/stats/%C2%85', 400, 'invalid_parameter'],
    ['/stats/%FF', 400, 'bad_request'],
    ['/stats/%ED%A0%80', 400, 'bad_request'],
    ['/stats/%C0%AF', 400, 'bad_request'],
    ['/stats/%', 400, 'bad_request'],
    [`/stats/${'k'.repeat(1_025)}`, 400, 'invalid_parameter'],
    [`/stats/${'k'.repeat(12_000)}`, 400, 'invalid_parameter'],
    ['/stats/', 400, 'invalid_parameter'],
    ['/v1/counters/clicks/%00', 400, 'invalid_parameter'],
    ['/v1/counters/nothing/7', 404, 'unknown_counter'],
    ['/v1/counters/__proto__/7', 404, 'unknown_counter'],
    ['/v1/counters/clicks%00/7', 404, 'unknown_counter'],
    [`/v1/counters/${'c'.repeat(5_000)}/7`, 404, 'unknown_counter'],
    ['/v1/events/7', 404, 'not_found'],
  ])('%s is %d %s', async (path, status, code) => {
    expect(problemOf(await tally.post(path))).toMatchObject({ status, code })
  })

  test('a key is a key, however it is written', async () => {
    const keys = ['a/b', 'a%2Fb', 'ä', '😀', 'a+b', 'a b', '?', '#'].map((key) => `path ${key}`)
    for (const key of keys) await tally.post(`/stats/${encodeURIComponent(key)}`)
    for (const key of keys) expect(await tally.value('clicks', key)).toBe(1)
  })
})

describe('media types and encodings', () => {
  const EVENT = '{"counter":"clicks","key":"typed"}'

  test.each([
    'text/plain',
    'text/html',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/json; charset=utf-16',
    'application/json; charset=iso-8859-1',
    'application/octet-stream',
    'json',
    '*/*',
  ])('%s is 415', async (type) => {
    for (const path of ['/v1/events', '/stats/typed', '/v1/counters/clicks/typed']) {
      const answer = await tally.post(path, EVENT, { 'content-type': type })
      expect(problemOf(answer)).toMatchObject({ status: 415, code: 'unsupported_media_type' })
    }
    expect(await tally.value('clicks', 'typed')).toBe(0)
  })

  test.each([
    ['br', 415, 'unsupported_encoding'],
    ['deflate', 415, 'unsupported_encoding'],
    ['gzip, gzip', 415, 'unsupported_encoding'],
    ['gzip', 400, 'bad_request'],
  ])('a plain body that says %s is %d', async (encoding, status, code) => {
    const answer = await tally.post('/v1/events', EVENT, { 'content-encoding': encoding })
    expect(problemOf(answer)).toMatchObject({ status, code })
  })

  test('a bomb is refused while it unfolds: 256 MiB of blanks, and an event behind them', async () => {
    const bomb = Uint8Array.from(gzipSync(Buffer.concat([Buffer.alloc(256 << 20, ' '), Buffer.from(EVENT)])))
    expect(bomb.length).toBeLessThan(1 << 20)
    const before = process.memoryUsage.rss()
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => tally.post('/v1/events', bomb, { 'content-encoding': 'gzip' })),
    )
    for (const answer of answers)
      expect(problemOf(answer)).toMatchObject({ status: 413, code: 'body_too_large' })
    expect(process.memoryUsage.rss() - before).toBeLessThan(256 << 20)
    expect(await tally.value('clicks', 'typed')).toBe(0)
  })

  test('a body of 8 MiB and one byte is 413, one of 8 MiB is read', async () => {
    const padded = (bytes: number) => EVENT.replace('typed', 'padded').padEnd(bytes, ' ')
    expect(problemOf(await tally.post('/v1/events', padded((8 << 20) + 1)))).toMatchObject({ status: 413 })
    expect((await tally.post('/v1/events', padded(8 << 20))).status).toBe(200)
    expect(await tally.value('clicks', 'padded')).toBe(1)
  })

  test('8 MiB of the worst JSON are refused without stalling', async () => {
    const bodies = [
      '['.repeat(8 << 20),
      '{"":'.repeat(2 << 20),
      `[${'1,'.repeat(4_000_000)}1]`,
      `[${'{},'.repeat(2_500_000)}{}]`,
      `"${'\\u0000'.repeat(1_300_000)}"`,
      `{"counter":"clicks","key":"k","id":"${'\\'.repeat(8_000_000)}"}`,
      '"'.repeat(8 << 20),
      '-'.repeat(8 << 20),
      '1'.repeat(8 << 20),
    ]
    for (const body of bodies) {
      const startMs = performance.now()
      const answer = await tally.post('/v1/events', body)
      assertDocumented(answer)
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(performance.now() - startMs, body.slice(0, 20)).toBeLessThan(5_000)
    }
  })
})

describe('fuzz', () => {
  const sound = [
    '{"counter":"clicks","key":"fuzz","delta":-3,"id":"f-1","time":"2026-01-01T00:00:00Z"}',
    '[{"counter":"clicks","key":"fuzz"},{"key":"fuzz-ä","counter":"unread","delta":7}]',
    '{"counter":"clicks","key":"fuzz"}\n{"counter":"clicks","key":"fuzz"}\n',
    '{"specversion":"1.0","type":"order.paid","source":"/s","id":"1","data":{"customer":1,"shop":"n","total":2}}',
  ]
  const edit = fc.record({
    at: fc.nat({ max: 200 }),
    drop: fc.nat({ max: 3 }),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 3 }),
      fc
        .constantFrom('{', '}', '[', ']', '"', ',', ':', '\\u0000', '\\"', '9e9', '\n', '\ufeff')
        .map((text) => {
          return new TextEncoder().encode(text)
        }),
    ),
  })
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc
      .tuple(fc.constantFrom(...sound), fc.array(edit, { minLength: 0, maxLength: 4 }))
      .map(([text, edits]) => {
        let body = Buffer.from(text)
        for (const { at, drop, insert } of edits) {
          const from = at % (body.length + 1)
          body = Buffer.concat([body.subarray(0, from), insert, body.subarray(from + drop)])
        }
        return Uint8Array.from(body)
      }),
  )
  const type = fc.constantFrom(...JSON_TYPES, 'application/x-ndjson')

  test('whatever bytes come, the answer is documented, and what it says was counted is in the ledger', async () => {
    let said = 0
    const { counted } = await rejectedWhile(async () => {
      await fc.assert(
        fc.asyncProperty(bytes, type, async (body, contentType) => {
          const answer = await tally.post('/v1/events', body, { 'content-type': contentType })
          assertDocumented(answer)
          if (answer.status === 200) said += Number(JSON.parse(answer.text).counted)
        }),
        { numRuns: 3_000, interruptAfterTimeLimit: 30_000 },
      )
    })
    expect(counted).toBe(said)
    expect(said).toBeGreaterThan(0)
  })

  test('whatever stands in the headers, the answer is documented', async () => {
    const value = fc.stringMatching(/^[ -~]{0,40}$/)
    const header = fc.constantFrom('idempotency-key', 'content-type', 'ce-id', 'ce-type', 'ce-time', 'ce-x')
    await fc.assert(
      fc.asyncProperty(fc.dictionary(header, value), async (headers) => {
        assertDocumented(await tally.post('/v1/events', '{"counter":"clicks","key":"headers"}', headers))
      }),
      { numRuns: 1_000, interruptAfterTimeLimit: 20_000 },
    )
  })
})
