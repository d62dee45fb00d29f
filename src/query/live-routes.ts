import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { WebSocket } from 'ws'
import type { Counters } from '../core/counter.ts'
import { TallyError } from '../core/errors.ts'
import {
  HEADERS_TIMEOUT_MS,
  LIVE_KEYS_PER_SUBSCRIBER_MAX,
  WEBSOCKET_MESSAGE_BYTES_MAX,
} from '../core/limits.ts'
import type { Routes } from '../server/route.ts'
import { serveEvents } from './live-events.ts'
import type { LiveHub } from './live-hub.ts'
import { errorText } from './live-messages.ts'
import { type AcceptEvent, LiveSocket } from './live-socket.ts'
import { assertMayWatch, liveTargets } from './live-target.ts'

export interface LiveDeps {
  readonly hub: LiveHub
  readonly counters: Counters
  readonly acceptEvent: AcceptEvent
}

const LIVE_PATH = '/v1/live'

const LiveQuery = Type.Object(
  {
    counter: Type.Optional(
      Type.Array(Type.String(), {
        maxItems: LIVE_KEYS_PER_SUBSCRIBER_MAX,
        description: 'A declared counter.',
      }),
    ),
    key: Type.Optional(
      Type.Array(Type.String(), {
        maxItems: LIVE_KEYS_PER_SUBSCRIBER_MAX,
        description:
          'A key to watch. One counter holds for all keys; otherwise each key has its own counter.',
      }),
    ),
  },
  { additionalProperties: false },
)

const LIVE_DOCS = {
  tags: ['query'],
  summary: 'Watch values as they change',
  description: [
    'Server-Sent Events, or with an Upgrade a WebSocket (docs/live.md). Each event `reading` is a whole reading:',
    'first the current value of every key, then each newer one, coalesced.',
  ].join(' '),
  querystring: LiveQuery,
  response: {
    200: {
      description: 'Events named `reading`, each with a Reading as its data',
      content: { 'text/event-stream': { schema: Type.String() } },
    },
  },
}

type LiveRequest = FastifyRequest<{ Querystring: Static<typeof LiveQuery> }>

/** Live values: Server-Sent Events and WebSockets on one address. */
export function liveRoutes(deps: LiveDeps): Routes {
  return async (app) => {
    // In a scope of its own, since the plugin wraps the handler of every route beside it.
    await app.register(async (scoped) => {
      scoped.server.on('upgrade', boundUpgrade)
      // Elsewhere an Upgrade header is ignored, as RFC 9110 section 7.8 allows, and the connection stays HTTP.
      Object.assign(scoped.server, { shouldUpgradeCallback: isLive })
      await scoped.register(websocket, {
        options: { maxPayload: WEBSOCKET_MESSAGE_BYTES_MAX, perMessageDeflate: false, clientTracking: false },
        // A broken connection is closed by the library itself and of no interest to anyone else.
        errorHandler: () => undefined,
        preClose: (done) => done(),
      })
      scoped.addHook('preClose', async () => deps.hub.stop())
      scoped.route<{ Querystring: Static<typeof LiveQuery> }>({
        method: 'GET',
        url: LIVE_PATH,
        exposeHeadRoute: false,
        config: { scope: 'read', perKey: true },
        schema: LIVE_DOCS,
        handler: (request, reply) => openEvents(deps, request, reply),
        wsHandler: (socket, request) => openSocket(deps, socket, request as LiveRequest),
      })
    })
  }
}

function isLive({ url = '' }: IncomingMessage): boolean {
  return url === LIVE_PATH || url.startsWith(`${LIVE_PATH}?`)
}

/**
 * Node leaves a connection that asks for an upgrade without any timeout, also where the answer is an error.
 * The WebSocket library takes the bound away once the connection is one.
 */
function boundUpgrade(_request: IncomingMessage, socket: Duplex): void {
  if (!('setTimeout' in socket) || typeof socket.setTimeout !== 'function') return
  socket.setTimeout(HEADERS_TIMEOUT_MS)
  socket.once('timeout', () => socket.destroy())
}

function openEvents(deps: LiveDeps, request: LiveRequest, reply: FastifyReply): void {
  const targets = liveTargets(request.query)
  if (targets.length === 0) {
    throw new TallyError('invalid_parameter', 'There is nothing to watch', {
      at: 'key',
      expected: 'a counter and a key',
    })
  }
  for (const target of targets) assertMayWatch(target, request.access, deps.counters)
  serveEvents(reply, deps.hub, { targets, expiresMs: request.access.expiresMs })
}

function openSocket(deps: LiveDeps, socket: WebSocket, request: LiveRequest): void {
  try {
    const targets = liveTargets(request.query)
    new LiveSocket(socket, { access: request.access, stream: request.raw.socket }, deps).watch(targets)
  } catch (error) {
    const refusal =
      error instanceof TallyError ? error : new TallyError('internal', 'Unexpected', { cause: error })
    socket.send(errorText(refusal, undefined))
    socket.close(refusal.retryable ? 1013 : 1008, refusal.code)
  }
}
