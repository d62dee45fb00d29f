import { describe, expect, test } from 'vitest'
import { smallRoutes } from '../support/small-routes.ts'
import { startTestServer } from '../support/test-server.ts'

describe('a service that asks for no key', () => {
  const status = async (url: string, init: RequestInit = {}) => (await fetch(url, init)).status

  test('refuses another name than a loopback one: a page may have pointed its own name here', async () => {
    const server = await startTestServer({}, smallRoutes)
    const ask = async (host: string) =>
      (await server.app.inject({ url: '/v1/counters/clicks/7', headers: { host } })).statusCode
    try {
      for (const host of ['localhost', 'LOCALHOST:8080', '127.0.0.1:8080', '[::1]:8080', 'tally.localhost']) {
        expect([host, await ask(host)]).toEqual([host, 200])
      }
      for (const host of [
        'evil.example',
        '127.0.0.1.evil.example',
        'localhost.evil.example:8080',
        '10.0.0.1',
        '[::2]',
      ]) {
        expect([host, await ask(host)]).toEqual([host, 403])
      }
      // A key proves more than a name does.
      const { key } = await server.keys.create('reader', ['read'])
      const headers = { host: 'evil.example', 'x-api-key': key }
      expect((await server.app.inject({ url: '/v1/counters/clicks/7', headers })).statusCode).toBe(200)
    } finally {
      await server.stop()
    }
  })

  test('asks for a key on a loopback address too when a proxy stands before it', async () => {
    const server = await startTestServer({ trustProxy: true }, smallRoutes)
    try {
      expect((await server.app.inject({ url: '/v1/counters/clicks/7' })).statusCode).toBe(401)
    } finally {
      await server.stop()
    }
  })

  test('answers any name behind a proxy that it was told to trust', async () => {
    const server = await startTestServer({ trustProxy: true, auth: 'none' }, smallRoutes)
    try {
      const headers = { host: 'tally.example' }
      expect((await server.app.inject({ url: '/v1/counters/clicks/7', headers })).statusCode).toBe(200)
    } finally {
      await server.stop()
    }
  })

  test('takes no writes and no WebSocket from a page of another origin', async () => {
    const server = await startTestServer({ corsOrigins: ['https://shop.example'] }, smallRoutes)
    const post = (origin: string) => status(`${server.url}/v1/write`, { method: 'POST', headers: { origin } })
    try {
      expect(await post('https://evil.example')).toBe(403)
      expect(await post('null')).toBe(403)
      expect(await post('http://localhost')).toBe(403)
      expect(await post(server.url)).toBe(200)
      expect(await post('https://shop.example')).toBe(200)
      expect(await status(`${server.url}/v1/write`, { method: 'POST' })).toBe(200)
      const upgrade = { upgrade: 'websocket', connection: 'upgrade', origin: 'https://evil.example' }
      const answer = await server.app.inject({
        url: '/v1/counters/clicks/7',
        headers: { ...upgrade, host: 'localhost' },
      })
      expect(answer.statusCode).toBe(403)
    } finally {
      await server.stop()
    }
  })

  test('checks the keys that are sent nevertheless, unless the settings say auth: none', async () => {
    const headers = { authorization: 'Bearer tally_0123456789abcdef_AAAA' }
    for (const [auth, expected] of [
      ['auto', 401],
      ['none', 200],
    ] as const) {
      const server = await startTestServer({ auth }, smallRoutes)
      try {
        expect(await status(`${server.url}/v1/write`, { method: 'POST', headers })).toBe(expected)
      } finally {
        await server.stop()
      }
    }
  })
})

describe('CORS', () => {
  test('a page of a named origin may call, one of another may not read the answer', async () => {
    const server = await startTestServer(
      { host: '0.0.0.0', corsOrigins: ['https://shop.example'] },
      smallRoutes,
    )
    const preflight = (origin: string) =>
      fetch(`${server.url}/v1/write`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,idempotency-key',
        },
      })
    try {
      const named = await preflight('https://shop.example')
      expect(named.status).toBe(204)
      expect(named.headers.get('access-control-allow-origin')).toBe('https://shop.example')
      expect(named.headers.get('access-control-allow-headers')).toContain('idempotency-key')
      expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBe(null)
      // Also an error can be read by the page, or it could never tell why.
      const refused = await fetch(`${server.url}/v1/write`, {
        method: 'POST',
        headers: { origin: 'https://shop.example' },
      })
      expect(refused.status).toBe(401)
      expect(refused.headers.get('access-control-allow-origin')).toBe('https://shop.example')
    } finally {
      await server.stop()
    }
  })
})

describe('rate limits', () => {
  test('one key that asks too often is told when to come back, and the others are not disturbed', async () => {
    const server = await startTestServer({ host: '0.0.0.0', rateLimitPerSecond: 5 }, smallRoutes)
    try {
      const [one, two] = [
        await server.keys.create('one', ['write']),
        await server.keys.create('two', ['write']),
      ]
      const post = (key: string) =>
        fetch(`${server.url}/v1/write`, { method: 'POST', headers: { authorization: `Bearer ${key}` } })
      const answers = await Promise.all(Array.from({ length: 12 }, () => post(one.key)))
      const refused = answers.filter((answer) => answer.status === 429)
      expect(refused.length).toBeGreaterThanOrEqual(2)
      expect(refused[0]?.headers.get('retry-after')).toBe('1')
      expect(await refused[0]?.json()).toMatchObject({ code: 'rate_limited', status: 429 })
      expect((await post(two.key)).status).toBe(200)
      const probes = await Promise.all(Array.from({ length: 20 }, () => fetch(`${server.url}/health/live`)))
      expect(probes.every((probe) => probe.status === 200)).toBe(true)
    } finally {
      await server.stop()
    }
  })

  test('behind a trusted proxy the address is what the proxy saw, whatever the client claims', async () => {
    const server = await startTestServer(
      { rateLimitPerSecond: 1, trustProxy: true, auth: 'none' },
      smallRoutes,
    )
    const ask = async (forwarded: string) =>
      (await server.app.inject({ url: '/v1/counters/clicks/7', headers: { 'x-forwarded-for': forwarded } }))
        .statusCode
    try {
      expect(await ask('1.1.1.1, 9.9.9.9')).toBe(200)
      expect(await ask('2.2.2.2, 9.9.9.9')).toBe(429)
      expect(await ask('2.2.2.2, 8.8.8.8')).toBe(200)
    } finally {
      await server.stop()
    }
  })
})
