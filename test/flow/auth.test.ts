import { createHash, createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HOUR_MS } from '../../src/core/limits.ts'
import type { DeclaredRoute } from '../../src/server/guard.ts'
import type { Routes } from '../../src/server/route.ts'
import { type Composed, startComposed } from '../support/composed.ts'
import { startTestServer, TEST_SETTINGS } from '../support/test-server.ts'

const SECRET = TEST_SETTINGS.tokenSecret ?? ''

/** Signs a token by hand, so that it can be as wrong as it likes. */
function forge(
  claims: object,
  { alg = 'HS256', secret = SECRET }: { alg?: string; secret?: string } = {},
): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg, typ: 'JWT' })}.${part(claims)}`
  if (alg === 'none') return `${signed}.`
  return `${signed}.${createHmac(alg.replace('HS', 'sha'), secret).update(signed).digest('base64url')}`
}

const inS = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds
const CLICKS = { read: [{ counter: 'clicks' }] }

describe('every route of a service that asks for keys', () => {
  let composed: Composed
  let app: FastifyInstance
  const held: Record<string, string> = {}
  const attacks: [name: string, credential: () => Record<string, string>, status: number][] = []

  beforeAll(async () => {
    composed = await startComposed({ host: '0.0.0.0', tokenSecret: SECRET })
    app = composed.service.app
    const { keys } = composed.service
    for (const scope of ['write', 'read', 'admin'] as const)
      held[scope] = (await keys.create(scope, [scope])).key
    const revoked = await keys.create('revoked', ['admin'])
    await keys.revoke(revoked.id)
    const admin = held.admin ?? ''
    const [, adminId = '', adminSecret = ''] = admin.split('_')
    const bearer = (credential: string) => () => ({ authorization: `Bearer ${credential}` })
    const valid = forge({ exp: inS(60), tally: { read: [{ counter: 'clicks', keys: ['7'] }] } })
    const payload = Buffer.from(JSON.stringify({ exp: inS(60), tally: CLICKS })).toString('base64url')
    attacks.push(
      ['no key', () => ({}), 401],
      ['an empty key', () => ({ 'x-api-key': '' }), 401],
      ['basic credentials', () => ({ authorization: `Basic ${btoa('admin:admin')}` }), 401],
      ['a revoked key', bearer(revoked.key), 401],
      ['an unknown key', bearer('tally_0123456789abcdef_AAAA'), 401],
      ['a key with a changed secret', bearer(`${admin.slice(0, -1)}${admin.endsWith('A') ? 'B' : 'A'}`), 401],
      ['a key without its secret', bearer(`tally_${adminId}_`), 401],
      [
        'the hash in place of the secret',
        bearer(`tally_${adminId}_${createHash('sha256').update(adminSecret).digest('hex')}`),
        401,
      ],
      [
        'the secret of one key under the id of another',
        bearer(`tally_${held.read?.split('_')[1]}_${adminSecret}`),
        401,
      ],
      ['an expired token', bearer(forge({ exp: inS(-60), tally: CLICKS })), 401],
      ['a token without an end', bearer(forge({ tally: CLICKS })), 401],
      ['a token that lives for two days', bearer(forge({ exp: inS(48 * 3_600), tally: CLICKS })), 401],
      ['a token that is not valid yet', bearer(forge({ nbf: inS(600), exp: inS(900), tally: CLICKS })), 401],
      ['a token with alg none', bearer(forge({ exp: inS(60), tally: CLICKS }, { alg: 'none' })), 401],
      [
        'a token with another algorithm',
        bearer(forge({ exp: inS(60), tally: CLICKS }, { alg: 'HS512' })),
        401,
      ],
      [
        'a token of another secret',
        bearer(forge({ exp: inS(60), tally: CLICKS }, { secret: 'x'.repeat(32) })),
        401,
      ],
      ['a token with changed claims', bearer(valid.replace(/\.[^.]+\./, `.${payload}.`)), 401],
      [
        'a token with claims of another shape',
        bearer(forge({ exp: inS(60), tally: { read: 'clicks' } })),
        401,
      ],
      [
        'a token for another counter',
        bearer(forge({ exp: inS(60), tally: { read: [{ counter: 'likes' }] } })),
        403,
      ],
    )
  })
  afterAll(() => composed.stop())

  const guarded = () => app.declaredRoutes.filter((route) => route.scope !== 'public')

  test('there are routes of every scope, and a route without one can not be registered', async () => {
    expect(new Set(app.declaredRoutes.map((route) => route.scope))).toEqual(
      new Set(['public', 'read', 'write', 'admin']),
    )
    const careless: Routes = (scoped) => {
      scoped.get('/careless', () => 'hello')
    }
    await expect(startTestServer({}, careless)).rejects.toThrow('declares no scope')
  })

  test('a route whose path names a counter to be read takes tokens for its keys', () => {
    const named = guarded().filter((route) => route.scope === 'read' && /:(counter|bannerId)/.test(route.url))
    expect(named.filter((route) => !route.perKey)).toEqual([])
  })

  test('none of them answers a caller who may not', async () => {
    const wrong: string[] = []
    let asked = 0
    for (const route of guarded()) {
      const others = (['write', 'read'] as const).filter((scope) => scope !== route.scope)
      const scoped = others.map((scope): (typeof attacks)[number] => [
        `a key of scope ${scope}`,
        () => ({ authorization: `Bearer ${held[scope]}` }),
        403,
      ])
      for (const [name, credential, status] of [...attacks, ...scoped]) {
        const answer = await app.inject(requestOf(route, credential()))
        asked++
        // The answer to HEAD has no body to look into.
        const code = route.method === 'HEAD' ? 'forbidden' : codeOf(answer)
        const isRefused = answer.statusCode === status && (code === 'unauthenticated' || code === 'forbidden')
        if (!isRefused) {
          wrong.push(`${route.method} ${route.url} with ${name}: ${answer.statusCode} ${code}, not ${status}`)
        }
      }
    }
    expect(wrong).toEqual([])
    expect(asked).toBeGreaterThan(200)
  })

  test('what was refused was not done', async () => {
    const [line] = await composed.service.opened.store.ledger()
    expect(line?.received ?? 0).toBe(0)
    expect(composed.service.keys.list().map((key) => key.name)).toEqual(['write', 'read', 'admin'])
  })

  test('each of them lets in a key of its scope, and a key of scope admin', async () => {
    const wrong: string[] = []
    for (const route of guarded()) {
      // The backup has a test of its own; a stream of live values would never end here.
      if (route.url === '/v1/live' || route.url === '/v1/admin/backup') continue
      for (const key of [held[route.scope], held.admin]) {
        for (const headers of [{ authorization: `Bearer ${key}` }, { 'x-api-key': key ?? '' }]) {
          const answer = await app.inject(requestOf(route, headers))
          if (answer.statusCode === 401 || answer.statusCode === 403 || answer.statusCode >= 500) {
            wrong.push(`${route.method} ${route.url}: ${answer.statusCode} ${answer.body}`)
          }
        }
      }
    }
    expect(wrong).toEqual([])
  })

  test('the scopes are those that docs/auth.md lists', () => {
    const guide = readFileSync(new URL('../../docs/auth.md', import.meta.url), 'utf8')
    const documented = [...guide.matchAll(/^\| `([A-Z]+) ([^`]+)` \| (\w+)( \(and tokens\))? \|$/gm)].map(
      ([, method, path = '', scope, tokens]) =>
        `${method} ${path.replaceAll(/\{(\w+)\}/g, ':$1')} ${scope}${tokens ?? ''}`,
    )
    const declared = app.declaredRoutes
      .filter(({ method, url }) => method !== 'HEAD' && !url.includes('*'))
      .map(({ method, url, scope, perKey }) => `${method} ${url} ${scope}${perKey ? ' (and tokens)' : ''}`)
    expect(documented.toSorted()).toEqual(declared.toSorted())
  })

  test('a token never opens what is not a reading of its keys', async () => {
    const token = forge({ exp: inS(60), tally: { read: [{ counter: 'clicks', keys: ['7'] }] } })
    const get = async (url: string) =>
      (await app.inject({ url, headers: { authorization: `Bearer ${token}` } })).statusCode
    expect(await get('/metrics')).toBe(403)
    expect(await get('/v1/keys')).toBe(403)
  })
})

function codeOf({ headers, body }: { headers: Record<string, unknown>; body: string }): unknown {
  return headers['content-type'] === 'application/problem+json' ? JSON.parse(body).code : 'no problem'
}

/** A request that would be answered, if the caller were allowed to ask. */
function requestOf({ method, url }: DeclaredRoute, headers: Record<string, string>) {
  const path = url
    .replace(':counter', 'clicks')
    .replace(':key', '7')
    .replace(':bannerId', '7')
    .replace(':id', 'none')
  const query = url === '/v1/live' ? '?counter=clicks&key=7' : ''
  const isPost = method === 'POST'
  return {
    method: method as 'GET' | 'POST' | 'DELETE' | 'HEAD',
    url: `${path}${query}`,
    headers: { ...headers, ...(isPost ? { 'content-type': 'application/json' } : {}) },
    ...(isPost ? { payload: BODIES[url] ?? '' } : {}),
  }
}

const BODIES: Record<string, string> = {
  '/v1/events': '{"counter":"clicks","key":"7"}',
  '/v1/counters/:counter/:key': '{}',
  '/stats/:bannerId': '{}',
  '/v1/keys': '{"name":"another","scopes":["read"]}',
  '/v1/tokens': '{"read":[{"counter":"clicks"}]}',
  '/v1/admin/backup': '{"file":"/nowhere/at/all/tally.db"}',
}

/** Reads like the query stage: one key, or a whole counter. */
const reads: Routes = (app) => {
  app.get<{ Params: { counter: string; key?: string } }>(
    '/v1/counters/:counter/:key',
    { config: { scope: 'read', perKey: true } },
    ({ params, access, query }, reply) => {
      reply
        .code(access.mayRead(params.counter, params.key) ? 200 : 403)
        .send({ principal: access.principal, query })
    },
  )
  app.post('/v1/write', { config: { scope: 'write' } }, (_request, reply) => {
    reply.send({ written: true })
  })
}

describe('tokens', () => {
  test('a minted token reads its keys and no others, in the header and in the query', async () => {
    const server = await startTestServer({ host: '0.0.0.0' }, reads)
    try {
      const admin = await server.keys.create('admin', ['admin'])
      const minted = await fetch(`${server.url}/v1/tokens`, {
        method: 'POST',
        headers: { authorization: `Bearer ${admin.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ read: [{ counter: 'clicks', keys: ['7', '8'] }], expiresIn: '90s' }),
      })
      expect(minted.status).toBe(201)
      expect(minted.headers.get('cache-control')).toBe('no-store')
      const { token, expiresAt } = (await minted.json()) as { token: string; expiresAt: string }
      expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(80_000)
      const read = async (path: string, headers: Record<string, string> = {}) =>
        fetch(`${server.url}${path}`, { headers })
      // Twice: the second time it is known already.
      for (const _ of [1, 2]) {
        const mine = await read('/v1/counters/clicks/7', { authorization: `Bearer ${token}` })
        expect([mine.status, ((await mine.json()) as { principal: string }).principal]).toEqual([
          200,
          expect.stringMatching(/^token:/),
        ])
        expect((await read('/v1/counters/clicks/9', { authorization: `Bearer ${token}` })).status).toBe(403)
        expect((await read('/v1/counters/likes/7', { authorization: `Bearer ${token}` })).status).toBe(403)
      }
      const inQuery = await read(`/v1/counters/clicks/7?a=b&token=${token}`)
      expect(inQuery.status).toBe(200)
      expect(((await inQuery.json()) as { query: object }).query).toEqual({ a: 'b' })
      expect((await read(`/v1/counters/clicks/7?token=${admin.key}`)).status).toBe(401)
      expect((await read(`/metrics?token=${token}`)).status).toBe(401)
      expect(server.logged.join()).not.toContain(token)
    } finally {
      await server.stop()
    }
  })

  test('a token ends when its time is up, also one that was let in before', async () => {
    let nowMs = Date.now()
    const server = await startTestServer({ host: '0.0.0.0' }, reads, { now: () => nowMs })
    try {
      const token = forge({ exp: inS(60), tally: CLICKS })
      const status = async () => (await fetch(`${server.url}/v1/counters/clicks/7?token=${token}`)).status
      expect(await status()).toBe(200)
      nowMs += HOUR_MS
      expect(await status()).toBe(401)
    } finally {
      await server.stop()
    }
  })

  test.each([
    ['{"read":[{"counter":"clicks"}],"expiresIn":"25h"}', { code: 'invalid_parameter', at: '/expiresIn' }],
    ['{"read":[{"counter":"nonsense"}]}', { code: 'unknown_counter', at: '/read/0/counter' }],
    ['{"read":[]}', { code: 'invalid_parameter', at: '/read' }],
    ['{"read":[{"counter":"clicks","key":"7"}]}', { code: 'invalid_parameter', at: '/read/0/key' }],
  ])('the wish %s is refused by name', async (body, problem) => {
    const server = await startTestServer()
    try {
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(`${server.url}/v1/tokens`, { method: 'POST', headers, body })
      expect(await answer.json()).toMatchObject(problem)
    } finally {
      await server.stop()
    }
  })

  test('without a secret no token is made, and none is valid', async () => {
    const server = await startTestServer({ tokenSecret: undefined }, reads)
    try {
      const token = forge({ exp: inS(60), tally: CLICKS }, { secret: ' ' })
      expect((await fetch(`${server.url}/v1/counters/clicks/7?token=${token}`)).status).toBe(401)
      const headers = { 'content-type': 'application/json' }
      const body = '{"read":[{"counter":"clicks"}]}'
      expect((await fetch(`${server.url}/v1/tokens`, { method: 'POST', headers, body })).status).toBe(404)
    } finally {
      await server.stop()
    }
  })
})

describe('API keys over HTTP', () => {
  test('a key is shown once, works at once, and is refused from the moment it is revoked', async () => {
    const server = await startTestServer({ host: '0.0.0.0' }, reads)
    try {
      const admin = await server.keys.create('admin', ['admin'])
      const ask = (method: string, path: string, key: string, body?: string) =>
        fetch(`${server.url}${path}`, {
          method,
          headers: {
            authorization: `Bearer ${key}`,
            ...(body ? { 'content-type': 'application/json' } : {}),
          },
          ...(body ? { body } : {}),
        })
      const created = await ask('POST', '/v1/keys', admin.key, '{"name":"shop","scopes":["write"]}')
      expect(created.status).toBe(201)
      const { id, key } = (await created.json()) as { id: string; key: string }
      expect(key).toMatch(new RegExp(`^tally_${id}_[A-Za-z0-9_-]{43}$`))
      expect((await ask('POST', '/v1/write', key)).status).toBe(200)
      const listed = await (await ask('GET', '/v1/keys', admin.key)).text()
      expect(JSON.parse(listed)).toMatchObject({
        keys: [{ name: 'admin' }, { id, name: 'shop', scopes: ['write'] }],
      })
      expect(listed).not.toContain(key.slice(-20))
      expect((await ask('DELETE', `/v1/keys/${id}`, admin.key)).status).toBe(204)
      expect((await ask('POST', '/v1/write', key)).status).toBe(401)
      expect((await ask('DELETE', `/v1/keys/${id}`, admin.key)).status).toBe(404)
    } finally {
      await server.stop()
    }
  })
})

describe('a service that asks for no key', () => {
  const status = async (url: string, init: RequestInit = {}) => (await fetch(url, init)).status

  test('refuses another name than a loopback one: a page may have pointed its own name here', async () => {
    const server = await startTestServer({}, reads)
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

  test('answers any name behind a proxy that it was told to trust', async () => {
    const server = await startTestServer({ trustProxy: true }, reads)
    try {
      const headers = { host: 'tally.example' }
      expect((await server.app.inject({ url: '/v1/counters/clicks/7', headers })).statusCode).toBe(200)
    } finally {
      await server.stop()
    }
  })

  test('takes no writes and no WebSocket from a page of another origin', async () => {
    const server = await startTestServer({ corsOrigins: ['https://shop.example'] }, reads)
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
      const server = await startTestServer({ auth }, reads)
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
    const server = await startTestServer({ host: '0.0.0.0', corsOrigins: ['https://shop.example'] }, reads)
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
    const server = await startTestServer({ host: '0.0.0.0', rateLimitPerSecond: 5 }, reads)
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
    const server = await startTestServer({ rateLimitPerSecond: 1, trustProxy: true }, reads)
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
