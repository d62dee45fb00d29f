import { describe, expect, test } from 'vitest'
import { HOUR_MS } from '../../src/core/limits.ts'
import { CLICKS, forge, inS } from '../support/forged-token.ts'
import { smallRoutes } from '../support/small-routes.ts'
import { startTestServer } from '../support/test-server.ts'

describe('tokens', () => {
  test('a minted token reads its keys and no others, in the header and in the query', async () => {
    const server = await startTestServer({ host: '0.0.0.0' }, smallRoutes)
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
    const server = await startTestServer({ host: '0.0.0.0' }, smallRoutes, { now: () => nowMs })
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
    const server = await startTestServer({ tokenSecret: undefined }, smallRoutes)
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
    const server = await startTestServer({ host: '0.0.0.0' }, smallRoutes)
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
