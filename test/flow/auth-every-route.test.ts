import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DeclaredRoute } from '../../src/server/guard.ts'
import type { Routes } from '../../src/server/route.ts'
import { type Composed, startComposed } from '../support/composed.ts'
import { CLICKS, forge, inS, SECRET } from '../support/forged-token.ts'
import { startTestServer } from '../support/test-server.ts'

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
