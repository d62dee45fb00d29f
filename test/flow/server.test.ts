import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TallyError } from '../../src/core/errors.ts'
import { BODY_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_COUNT_MAX } from '../../src/core/limits.ts'
import { addRawBodyParser } from '../../src/server/body.ts'
import type { Routes } from '../../src/server/route.ts'
import { stopServer } from '../../src/server/server.ts'
import { sendRaw } from '../support/raw-http.ts'
import { startTestServer, type TestServer } from '../support/test-server.ts'

const SECRET_OF_THE_INSIDE = 'the password is swordfish'

/** Small routes that do what the stages' routes do. */
const probes: Routes = (app) => {
  addRawBodyParser(app, ['application/json', '*'])
  app.post('/raw', { config: { scope: 'write' } }, (request, reply) => {
    reply.send({ bytes: Buffer.isBuffer(request.body) ? request.body.length : null })
  })
  app.get('/broken', { config: { scope: 'read' } }, () => {
    throw new Error(SECRET_OF_THE_INSIDE)
  })
  app.get('/busy', { config: { scope: 'read' } }, () => {
    throw new TallyError('overloaded', 'Too much is waiting', { retryAfterS: 7 })
  })
  app.get('/slow', { config: { scope: 'read' } }, (_request, reply) => {
    setTimeout(() => reply.send({ done: true }), 300)
  })
  app.get('/forever', { config: { scope: 'read' } }, () => {})
  app.get(
    '/limited',
    {
      config: { scope: 'read' },
      schema: {
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: { limit: { type: 'integer', minimum: 1, maximum: 10 } },
        },
      },
    },
    (_request, reply) => {
      reply.send({ fine: true })
    },
  )
}

async function problemOf(answer: Response): Promise<Record<string, unknown>> {
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  const problem = (await answer.json()) as Record<string, unknown>
  expect(problem.type).toBe(`/docs/errors#${problem.code}`)
  expect(problem.status).toBe(answer.status)
  expect(problem).toHaveProperty('title')
  expect(problem).toHaveProperty('detail')
  return problem
}

describe('errors', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer({}, probes)
  })
  afterAll(() => server.stop())
  const get = (path: string, init?: RequestInit) => fetch(`${server.url}${path}`, init)

  test('an unknown address is a problem with code not_found', async () => {
    expect(await problemOf(await get('/nowhere'))).toMatchObject({ status: 404, code: 'not_found' })
  })

  test('a known address with another method is 405 and names the methods it takes', async () => {
    const answer = await get('/raw?x=1', { method: 'PUT' })
    expect(answer.headers.get('allow')).toBe('POST')
    expect(await problemOf(answer)).toMatchObject({ status: 405, code: 'method_not_allowed', got: 'PUT' })
    const keys = await get('/v1/keys/abc', {
      method: 'PATCH',
      body: '{}',
      headers: { 'content-type': 'text/x' },
    })
    expect(keys.headers.get('allow')).toBe('DELETE')
  })

  test('an unexpected error says nothing about the inside, and the log has all of it', async () => {
    const answer = await get('/broken?token=never-logged')
    const text = await answer.clone().text()
    expect(await problemOf(answer)).toMatchObject({ status: 500, code: 'internal' })
    expect(text).not.toContain('swordfish')
    expect(server.logged.join()).toContain(SECRET_OF_THE_INSIDE)
    expect(server.logged.join()).not.toContain('never-logged')
  })

  test('an error that will pass says when to try again', async () => {
    const answer = await get('/busy')
    expect(answer.headers.get('retry-after')).toBe('7')
    expect(await problemOf(answer)).toMatchObject({ status: 429, code: 'overloaded' })
  })

  test.each([
    ['limit=0', { at: 'limit', expected: 'must be >= 1', got: '0' }],
    ['limit=many', { at: 'limit', expected: 'must be integer', got: '"many"' }],
    ['limit=1e99', { at: 'limit' }],
    ['limits=1', { at: 'limits', expected: 'no parameter of this name' }],
  ])(
    'the parameter %s is refused with its place, what was expected and what stood there',
    async (query, told) => {
      const problem = await problemOf(await get(`/limited?${query}`))
      expect(problem).toMatchObject({ status: 400, code: 'invalid_parameter', ...told })
    },
  )

  test('a path that is not percent-encoded UTF-8 is refused', async () => {
    expect(await problemOf(await get('/v1/%E0%A4%A'))).toMatchObject({ status: 400, code: 'bad_request' })
  })

  test('a body that a route can not parse is 415', async () => {
    const answer = await get('/v1/keys', {
      method: 'POST',
      body: 'a',
      headers: { 'content-type': 'text/csv' },
    })
    expect(await problemOf(answer)).toMatchObject({ status: 415, code: 'unsupported_media_type' })
  })

  test.each([
    ['{', 'malformed_json'],
    ['', 'empty_body'],
    ['{"__proto__":{"a":1}}', 'malformed_json'],
  ])('the JSON %s is refused with code %s', async (body, code) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await get('/v1/keys', { method: 'POST', body, headers })
    expect(await problemOf(answer)).toMatchObject({ status: 400, code })
  })
})

describe('bodies', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer({}, probes)
  })
  afterAll(() => server.stop())
  const post = (body: Uint8Array<ArrayBuffer> | string, headers: Record<string, string> = {}) =>
    fetch(`${server.url}/raw`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', ...headers },
    })

  test('a body of exactly the limit is taken, one byte more is 413 and the connection stays usable', async () => {
    expect(await (await post(new Uint8Array(BODY_BYTES_MAX))).json()).toEqual({ bytes: BODY_BYTES_MAX })
    const answer = await post(new Uint8Array(BODY_BYTES_MAX + 1))
    expect(await problemOf(answer)).toMatchObject({ status: 413, code: 'body_too_large' })
  })

  test('a body without a length is held to the same limit', async () => {
    const chunk = 'x'.repeat(65_536)
    const chunked = `${chunk.length.toString(16)}\r\n${chunk}\r\n`.repeat(BODY_BYTES_MAX / 65_536 + 1)
    const head = 'POST /raw HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n'
    const answer = await sendRaw(server.url, head + chunked, { until: 'body_too_large' })
    expect(answer.text).toMatch(/^HTTP\/1.1 413/)
  })

  test('a gzip body is undone', async () => {
    const answer = await post(new Uint8Array(gzipSync('a'.repeat(100_000))), { 'content-encoding': 'gzip' })
    expect(await answer.json()).toEqual({ bytes: 100_000 })
  })

  test('a gzip bomb is 413 at once, and memory stays flat', async () => {
    const bomb = new Uint8Array(gzipSync(Buffer.alloc(512 * 1024 * 1024), { level: 1 }))
    const before = process.memoryUsage().rss
    const started = performance.now()
    const answer = await post(bomb, { 'content-encoding': 'gzip' })
    expect(await problemOf(answer)).toMatchObject({ status: 413, code: 'body_too_large' })
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024)
  })

  test.each([
    ['br', 415, 'unsupported_encoding', 'text'],
    ['gzip, gzip', 415, 'unsupported_encoding', 'text'],
    ['gzip', 400, 'bad_request', 'not gzip at all'],
  ])('the content encoding %s is answered %i %s', async (encoding, status, code, body) => {
    expect(await problemOf(await post(body, { 'content-encoding': encoding }))).toMatchObject({
      status,
      code,
    })
  })

  test('a gzip body that ends too early is refused', async () => {
    const whole = gzipSync('a'.repeat(1_000))
    const answer = await post(new Uint8Array(whole.subarray(0, whole.length - 9)), {
      'content-encoding': 'gzip',
    })
    expect(await problemOf(answer)).toMatchObject({
      status: 400,
      code: 'bad_request',
      at: 'Content-Encoding',
    })
  })
})

describe('connections', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer({ requestTimeoutMs: 3_000 }, probes)
  })
  afterAll(() => server.stop())
  const HEAD = 'POST /raw HTTP/1.1\r\nhost: localhost\r\n'

  test('what is not HTTP is answered with a problem and closed', async () => {
    const { text } = await sendRaw(server.url, 'GET / HTTP/9.9\r\n\r\n')
    expect(text).toMatch(/^HTTP\/1.1 400 /)
    expect(text).toContain('"code":"bad_request"')
  })

  test('headers beyond the limit in bytes are 431', async () => {
    const { text } = await sendRaw(server.url, `${HEAD}x: ${'y'.repeat(HEADER_BYTES_MAX)}\r\n\r\n`)
    expect(text).toMatch(/^HTTP\/1.1 431 /)
    expect(text).toContain('"code":"headers_too_large"')
  })

  test('10,000 headers are 431, and so is one header more than the limit: none is dropped silently', async () => {
    const many = Array.from({ length: 10_000 }, (_, index) => `x${index}: y\r\n`).join('')
    expect((await sendRaw(server.url, `${HEAD}${many}\r\n`)).text).toMatch(/^HTTP\/1.1 431 /)
    const headers = (count: number) =>
      `${HEAD}connection: close\r\ncontent-length: 0\r\n${'x: y\r\n'.repeat(count - 3)}\r\n`
    expect((await sendRaw(server.url, headers(HEADERS_COUNT_MAX))).text).toMatch(/^HTTP\/1.1 200 /)
    expect((await sendRaw(server.url, headers(HEADERS_COUNT_MAX + 1))).text).toMatch(/^HTTP\/1.1 431 /)
  })

  test.each([
    ['no bytes at all', '', undefined],
    ['slow headers', HEAD, 'x: y\r\n'],
    ['a slow body', `${HEAD}content-length: 1000\r\n\r\n`, 'x'],
    ['a slow body after its answer', `${HEAD}content-length: ${BODY_BYTES_MAX + 1}\r\n\r\n`, 'x'],
  ])('a client that sends %s is closed when the time of a request is up', async (_name, text, drip) => {
    const options = drip === undefined ? {} : { drip: { text: drip, everyMs: 200 } }
    const { closedAfterMs } = await sendRaw(server.url, text, options)
    expect(closedAfterMs).toBeLessThan(3_300)
    expect(closedAfterMs).toBeGreaterThan(1_500)
  })

  test('requests smuggled behind two different lengths are refused', async () => {
    const both = `${HEAD}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`
    const twice = `${HEAD}content-length: 4\r\ncontent-length: 5\r\n\r\nabcde`
    for (const text of [both, twice]) {
      expect((await sendRaw(server.url, text)).text).toMatch(/^HTTP\/1.1 400 /)
    }
  })
})

describe('probes, metrics and documents', () => {
  test('ready says why not: the state of the store', async () => {
    let state: 'ok' | 'store_full' | 'store_failed' = 'ok'
    const server = await startTestServer({}, probes, { storeHealth: () => ({ state, gauges: {} }) })
    try {
      expect((await fetch(`${server.url}/health/live`)).status).toBe(200)
      expect((await fetch(`${server.url}/health/ready`)).status).toBe(200)
      state = 'store_failed'
      expect(await problemOf(await fetch(`${server.url}/health/ready`))).toMatchObject({
        code: 'store_failed',
      })
      state = 'store_full'
      expect(await problemOf(await fetch(`${server.url}/health/ready`))).toMatchObject({ code: 'store_full' })
      expect((await fetch(`${server.url}/health/live`)).status).toBe(200)
    } finally {
      await server.stop()
    }
  })

  test('the metrics count each request under its route, never under its address', async () => {
    const server = await startTestServer({}, probes)
    try {
      for (const limit of [1, 2, 3, 11]) await (await fetch(`${server.url}/limited?limit=${limit}`)).text()
      const text = await (await fetch(`${server.url}/metrics`)).text()
      const counted = (status: string) =>
        `tally_http_request_duration_seconds_count{route="/limited",method="GET",status="${status}"}`
      expect(text).toContain(`${counted('2xx')} 3\n`)
      expect(text).toContain(`${counted('4xx')} 1\n`)
      expect(text).toContain('nodejs_eventloop_lag_seconds')
    } finally {
      await server.stop()
    }
  })

  test('the OpenAPI document holds the schemas that validate, who may call, and how a call fails', async () => {
    const server = await startTestServer({}, probes)
    try {
      const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
        openapi: string
        paths: Record<
          string,
          Record<string, { parameters: unknown[]; responses: object; security: unknown[] }>
        >
      }
      expect(document.openapi).toBe('3.1.0')
      const limited = document.paths['/limited']?.get
      expect(limited?.parameters).toMatchObject([{ in: 'query', name: 'limit', schema: { maximum: 10 } }])
      expect(limited?.responses).toHaveProperty('default')
      expect(limited?.security).toEqual([{ apiKey: [] }, { apiKeyHeader: [] }])
      expect(document.paths['/v1/keys/{id}']?.delete?.parameters).toMatchObject([{ in: 'path', name: 'id' }])
      expect(document.paths['/health/live']?.get?.security).toEqual([])
    } finally {
      await server.stop()
    }
  })

  test('the pages load nothing from outside, and their policy would forbid it', async () => {
    const server = await startTestServer()
    try {
      const page = await fetch(`${server.url}/docs`)
      const html = await page.text()
      expect(page.url).toBe(`${server.url}/docs/`)
      const policy = page.headers.get('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none'")
      expect(policy).toMatch(/script-src 'self' 'sha256-[^']+'(;|$)/)
      const loaded = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1])
      expect(loaded).toEqual(['js/scalar.js'])
      const script = await fetch(`${server.url}/docs/js/scalar.js`)
      expect(script.headers.get('content-type')).toContain('javascript')
      expect((await script.text()).length).toBeGreaterThan(1_000_000)
      const errors = await (await fetch(`${server.url}/docs/errors`)).text()
      expect(errors).toContain('id="store_full"')
    } finally {
      await server.stop()
    }
  })
})

describe('stopping', () => {
  test('a request in flight is answered, new connections are refused, idle ones are closed', async () => {
    const server = await startTestServer({}, probes)
    await (await fetch(`${server.url}/health/live`)).text()
    const inFlight = fetch(`${server.url}/slow`)
    await new Promise((resolve) => setTimeout(resolve, 100))
    const startedMs = performance.now()
    const stopped = server.stop()
    expect(await (await inFlight).json()).toEqual({ done: true })
    await stopped
    expect(performance.now() - startedMs).toBeLessThan(900)
    await expect(fetch(`${server.url}/health/live`)).rejects.toThrow()
  })

  test('while it stops it is not ready, on connections that are still open', async () => {
    const server = await startTestServer({}, probes)
    const slow = 'GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n'
    const ready = 'GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n'
    const inFlight = sendRaw(server.url, slow)
    const late = sendRaw(server.url, ready.slice(0, 20), { later: { text: ready.slice(20), afterMs: 150 } })
    await new Promise((resolve) => setTimeout(resolve, 50))
    await server.stop()
    expect((await inFlight).text).toContain('{"done":true}')
    expect((await late).text).toContain('"code":"shutting_down"')
  })

  test('a request that never ends is cut off when the time to drain is up', async () => {
    const server = await startTestServer({}, probes)
    const inFlight = fetch(`${server.url}/forever`).catch(() => 'cut')
    await new Promise((resolve) => setTimeout(resolve, 100))
    const startedMs = performance.now()
    await stopServer(server.app, 300)
    expect(performance.now() - startedMs).toBeLessThan(800)
    expect(await inFlight).toBe('cut')
    await server.stop()
  })
})

describe('TLS', () => {
  test('with a certificate it speaks HTTPS, TLS 1.2 at least', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tally-tls-'))
    const [tlsCertFile, tlsKeyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const made = ['-keyout', tlsKeyFile, '-out', tlsCertFile, '-days', '1', '-subj', '/CN=localhost']
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...made], { stdio: 'ignore' })
    const server = await startTestServer({ tlsCertFile, tlsKeyFile })
    const get = (maxVersion: 'TLSv1.1' | 'TLSv1.2') =>
      new Promise<number>((resolve, reject) => {
        const options = { rejectUnauthorized: false, minVersion: 'TLSv1', maxVersion } as const
        httpsRequest(`${server.url}/health/live`, options, (answer) => resolve(answer.statusCode ?? 0))
          .on('error', reject)
          .end()
      })
    try {
      expect(server.url).toMatch(/^https:/)
      expect(await get('TLSv1.2')).toBe(200)
      await expect(get('TLSv1.1')).rejects.toThrow()
    } finally {
      await server.stop()
      rmSync(folder, { recursive: true })
    }
  })
})
