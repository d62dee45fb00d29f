import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { Access } from '../core/access.ts'
import { OPEN_ACCESS } from '../core/access.ts'
import { TallyError } from '../core/errors.ts'
import { HEADERS_COUNT_MAX } from '../core/limits.ts'
import type { ApiKeys } from './api-keys.ts'
import { API_KEY_PREFIX } from './api-keys.ts'
import type { Metrics, RouteTimer } from './metrics.ts'
import type { createOriginGuard } from './origin.ts'
import type { RouteScope } from './route.ts'
import type { Tokens } from './tokens.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Every route of the application, in the order of registration, with what it asks of its caller. */
    declaredRoutes: DeclaredRoute[]
  }
  interface FastifyRequest {
    /** When the guard met the request, by `performance.now()`. */
    startedMs: number
    /** Takes the time of the answer; set with the route. */
    timer: RouteTimer | undefined
  }
}

export interface DeclaredRoute {
  readonly method: string
  readonly url: string
  readonly scope: RouteScope
  readonly perKey: boolean
  readonly requestBody: Readonly<Record<string, unknown>> | undefined
}

/** `required`: no key, no entry. `offered`: without a key all is allowed. `off`: keys are not looked at. */
export type AuthMode = 'required' | 'offered' | 'off'

export interface GuardOptions {
  readonly mode: AuthMode
  readonly keys: ApiKeys
  /** Undefined where no secret is set: then no token is valid. */
  readonly tokens: Tokens | undefined
  readonly checkOrigin: ReturnType<typeof createOriginGuard>
  readonly metrics: Metrics
}

/** What a route of scope `public` knows of its caller: nothing, so nothing is allowed in its name. */
const NOBODY: Access = { principal: 'public', allows: () => false, mayRead: () => false }

type Done = (error?: Error) => void

/**
 * Puts the guard before, and the timer after, every route that is registered on `app` from now on, and
 * refuses routes that declare no scope. Both are synchronous, which keeps a request on one turn of the loop.
 */
export function guardRoutes(app: FastifyInstance, options: GuardOptions): void {
  app.decorateRequest('startedMs', 0)
  app.decorateRequest('timer', undefined)
  app.decorateRequest('access')
  const declaredRoutes: DeclaredRoute[] = []
  app.decorate('declaredRoutes', declaredRoutes)
  app.addHook('onRoute', (route) => {
    const { url, config } = route
    const method = String(route.method)
    const scope = scopeOf(route)
    const perKey = config?.perKey === true
    declaredRoutes.push({ method, url, scope, perKey, requestBody: config?.requestBody })
    const guard = createGuard(options, { scope, perKey, timer: options.metrics.route(url, method) })
    route.onRequest = [guard, ...listOf(route.onRequest)]
    route.onSend = [...listOf(route.onSend), takeTime]
  })
}

function startTimer(request: FastifyRequest, timer: RouteTimer): void {
  request.startedMs = performance.now()
  request.timer = timer
}

function takeTime(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
  done: (error: null, payload: unknown) => void,
): void {
  noteAnswer(request, reply.raw.statusCode)
  done(null, payload)
}

/** Takes the time of a request that is answered now. */
export function noteAnswer(request: FastifyRequest, status: number): void {
  request.timer?.observe(status, performance.now() - request.startedMs)
}

function listOf<T>(hooks: T | T[] | undefined): T[] {
  if (hooks === undefined) return []
  return Array.isArray(hooks) ? hooks : [hooks]
}

function scopeOf(route: RouteOptions): RouteScope {
  const scope = route.config?.scope
  // The CORS plugin answers preflights, which browsers send without any key.
  if (scope === undefined && route.method === 'OPTIONS') return 'public'
  if (scope === undefined) throw new Error(`The route ${String(route.method)} ${route.url} declares no scope`)
  return scope
}

function createGuard(
  options: GuardOptions,
  route: { readonly scope: RouteScope; readonly perKey: boolean; readonly timer: RouteTimer },
) {
  const { scope, perKey, timer } = route
  const { mode, keys, tokens, checkOrigin } = options

  function admit(request: FastifyRequest, access: Access, done: Done): void {
    if (scope !== 'public' && !access.allows(scope)) {
      done(new TallyError('forbidden', 'This key does not allow this', { expected: `the scope ${scope}` }))
      return
    }
    request.access = access
    done()
  }

  function admitToken(request: FastifyRequest, access: Access | undefined, done: Done): void {
    if (access === undefined) {
      done(refusedCredential())
    } else if (!perKey) {
      done(new TallyError('forbidden', 'A token reads counters and nothing else; this takes an API key'))
    } else {
      admit(request, access, done)
    }
  }

  function admitUnknown(request: FastifyRequest, done: Done): void {
    if (mode === 'required') {
      done(credentialWanted(perKey))
      return
    }
    const { method, headers } = request.raw
    const { host, origin, upgrade } = headers
    const refused = checkOrigin({ method: method ?? 'GET', host, origin, upgrade })
    if (refused === undefined) admit(request, OPEN_ACCESS, done)
    else done(refused)
  }

  return (request: FastifyRequest, _reply: FastifyReply, done: Done): void => {
    startTimer(request, timer)
    if (request.raw.rawHeaders.length > 2 * HEADERS_COUNT_MAX) {
      done(tooManyHeaders())
      return
    }
    if (scope === 'public') {
      request.access = NOBODY
      done()
      return
    }
    const sent = credentialOf(request, perKey)
    const credential = mode === 'off' ? undefined : sent
    if (credential === undefined) {
      admitUnknown(request, done)
      return
    }
    if (credential.startsWith(API_KEY_PREFIX)) {
      const access = keys.authenticate(credential)
      if (access === undefined) done(refusedCredential())
      else admit(request, access, done)
      return
    }
    const known = tokens?.known(credential)
    if (known !== undefined || tokens === undefined) admitToken(request, known, done)
    else tokens.check(credential).then((access) => admitToken(request, access, done), done)
  }
}

/** Node would drop the headers beyond its own limit without a word, an Idempotency-Key among them. */
function tooManyHeaders(): TallyError {
  return new TallyError('headers_too_large', 'The request has too many headers', {
    expected: `at most ${HEADERS_COUNT_MAX} headers`,
  })
}

function credentialWanted(perKey: boolean): TallyError {
  return new TallyError('unauthenticated', 'This service asks for an API key', {
    at: 'Authorization',
    expected: perKey ? 'Bearer with an API key or a token' : 'Bearer with an API key',
  })
}

function refusedCredential(): TallyError {
  return new TallyError('unauthenticated', 'This key or token is not valid here, or no longer', {
    at: 'Authorization',
  })
}

/** RFC 6750 section 2.1; the scheme's name is case-insensitive (RFC 9110 section 11.1). */
const BEARER = /^bearer +([^ ]+)$/i

/** The key or token that a request brings, wherever it brings it. */
function credentialOf(request: FastifyRequest, perKey: boolean): string | undefined {
  const { authorization, 'x-api-key': apiKey } = request.raw.headers
  if (authorization !== undefined) {
    const bearer = BEARER.exec(authorization)?.[1]
    if (bearer !== undefined) return bearer
  }
  if (typeof apiKey === 'string') return apiKey
  if (!perKey) return undefined
  const { query } = request
  if (typeof query !== 'object' || query === null || !('token' in query)) return undefined
  const { token } = query
  // Handlers and their schemas need not know it, and nothing that shows the query can show it.
  delete query.token
  // An API key has no place in an address, which ends up in histories and in the logs of proxies.
  return typeof token === 'string' && !token.startsWith(API_KEY_PREFIX) ? token : ''
}
