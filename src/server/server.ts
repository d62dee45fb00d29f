import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Counters } from '../core/counter.ts'
import { TallyError } from '../core/errors.ts'
import { CONNECTIONS_CHECK_MS, DRAIN_MS_MAX, RATES_HELD_MAX, SECOND_MS } from '../core/limits.ts'
import type { StoreHealth } from '../store/store.ts'
import { accessRoutes } from './access-routes.ts'
import type { ApiKeys } from './api-keys.ts'
import { addDocs } from './docs.ts'
import type { AuthMode } from './guard.ts'
import { guardRoutes } from './guard.ts'
import { healthRoutes } from './health.ts'
import type { ListenerSettings } from './listener.ts'
import { createListener } from './listener.ts'
import type { Metrics } from './metrics.ts'
import { addOpenApi } from './openapi.ts'
import { createOriginGuard, isLoopback, keysRequired } from './origin.ts'
import { sendProblem, toTallyError } from './problem.ts'
import { createTokens } from './tokens.ts'

/** What of the settings concerns the server. */
export interface ServerSettings extends ListenerSettings {
  readonly host: string
  readonly auth: 'auto' | 'none'
  /** Signs tokens; at least TOKEN_SECRET_BYTES_MIN bytes. Without it no token is valid. */
  readonly tokenSecret: string | undefined
  readonly corsOrigins: readonly string[]
  /** Requests per second of one key, token or address; 0 for no limit. */
  readonly rateLimitPerSecond: number
  readonly counters: Counters
}

export interface ServerOptions {
  readonly settings: ServerSettings
  readonly keys: ApiKeys
  readonly metrics: Metrics
  readonly log: FastifyBaseLogger
  /** The clock, milliseconds since the epoch. */
  readonly now: () => number
  readonly version: string
  readonly storeHealth: () => StoreHealth
  /** Copies the store to a new file; durable when it resolves. */
  readonly backup: (file: string) => Promise<void>
}

/**
 * The application with everything that is not a stage: limits, access, errors, health, metrics and docs. It
 * does not listen yet. Register the stages' routes on it, then `listen`; end it with `stopServer`.
 * Every route declares `config.scope`, or registering it fails.
 */
export async function createServer(options: ServerOptions): Promise<FastifyInstance> {
  const { settings, keys, metrics, log, now } = options
  const app = createListener(settings)
  const state: ServerState = { isStopping: false, upgraded: new Set() }
  states.set(app.server, state)
  app.server.on('upgrade', (_request, socket) => {
    state.upgraded.add(socket)
    socket.once('close', () => state.upgraded.delete(socket))
  })

  answerErrors(app, log)
  const secret = settings.tokenSecret
  const tokens = secret === undefined ? undefined : createTokens(Buffer.from(secret), now)
  guardRoutes(app, {
    mode: authMode(settings),
    keys,
    tokens,
    checkOrigin: createOriginGuard({
      allowedOrigins: settings.corsOrigins,
      loopbackHostOnly: isLoopback(settings.host) && !settings.trustProxy,
    }),
    metrics,
  })
  if (settings.corsOrigins.length > 0) await addCors(app, settings.corsOrigins)
  if (settings.rateLimitPerSecond > 0) await addRateLimit(app, settings.rateLimitPerSecond)
  await addOpenApi(app, options.version)
  // In a scope of its own: a stage that parses raw bodies must not change how these are parsed.
  await app.register(async (scoped) => {
    const { counters } = settings
    await accessRoutes({ keys, tokens, counters, backup: options.backup })(scoped)
    await healthRoutes({
      metrics,
      storeHealth: options.storeHealth,
      isStopping: () => state.isStopping,
    })(scoped)
  })
  addDocs(app)
  return app
}

function authMode(settings: ServerSettings): AuthMode {
  if (settings.auth === 'none') return 'off'
  return keysRequired(settings) ? 'required' : 'offered'
}

function answerErrors(app: FastifyInstance, log: FastifyBaseLogger): void {
  app.setErrorHandler((error, request, reply) => {
    const problem = toTallyError(error, request)
    if (problem.code === 'internal') {
      // The route, not the address: a query may hold a token.
      log.error({ err: error, method: request.method, route: request.routeOptions.url }, 'request failed')
    }
    // The rest of a refused body is read and dropped, so the connection can be kept.
    reply.removeHeader('connection')
    sendProblem(reply, problem)
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = METHODS.filter((method) => app.findRoute({ method, url: path }) !== null)
    if (allowed.length === 0) {
      sendProblem(reply, new TallyError('not_found', 'There is nothing at this address; see /docs'))
      return
    }
    reply.header('allow', allowed.join(', '))
    sendProblem(
      reply,
      new TallyError('method_not_allowed', 'This address does not take this method', {
        expected: allowed.join(', '),
        got: request.method,
      }),
    )
  })
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

async function addCors(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  const { default: cors } = await import('@fastify/cors')
  await app.register(cors, {
    origin: origins.includes('*') ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    exposedHeaders: ['ETag', 'Retry-After'],
    maxAge: 600,
  })
}

async function addRateLimit(app: FastifyInstance, perSecond: number): Promise<void> {
  const { default: rateLimit } = await import('@fastify/rate-limit')
  await app.register(rateLimit, {
    max: perSecond,
    timeWindow: SECOND_MS,
    cache: RATES_HELD_MAX,
    keyGenerator: ({ access, ip }) =>
      access.principal === 'open' || access.principal === 'public' ? `ip:${ip}` : access.principal,
    // A probe that is refused would take the service down.
    allowList: (request) => request.routeOptions.url?.startsWith('/health/') ?? false,
    errorResponseBuilder: (_request, { ttl }) =>
      new TallyError('rate_limited', 'Too many requests', {
        expected: `at most ${perSecond} requests a second`,
        retryAfterS: Math.max(1, Math.ceil(ttl / SECOND_MS)),
      }),
  })
}

interface ServerState {
  isStopping: boolean
  /** Connections that became WebSockets, which Node no longer counts as its own. */
  readonly upgraded: Set<{ destroy(): void }>
}

const states = new WeakMap<object, ServerState>()

/**
 * Stops gracefully: not ready any more, no new connections, WebSockets closed with 1001, requests in flight
 * answered, idle connections closed as soon as they are idle. What is left after `drainMs` is cut off.
 * Resolves when no connection is open. Stages end their own streams in an `onClose` or `preClose` hook.
 */
export async function stopServer(app: FastifyInstance, drainMs: number = DRAIN_MS_MAX): Promise<void> {
  const state = states.get(app.server)
  if (state !== undefined) state.isStopping = true
  // A connection that was busy when the server closed becomes idle later, and would stay until it times out.
  const idle = setInterval(() => app.server.closeIdleConnections(), Math.min(100, CONNECTIONS_CHECK_MS))
  const cut = setTimeout(() => {
    app.server.closeAllConnections()
    for (const socket of state?.upgraded ?? []) socket.destroy()
  }, drainMs)
  try {
    await app.close()
  } finally {
    clearInterval(idle)
    clearTimeout(cut)
  }
}
