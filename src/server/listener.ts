import { readFileSync } from 'node:fs'
import type { ServerOptions as HttpOptions } from 'node:http'
import type { Socket } from 'node:net'
import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifyServerOptions,
} from 'fastify'
import Fastify from 'fastify'
import { TallyError } from '../core/errors.ts'
import {
  BODY_BYTES_MAX,
  CONNECTIONS_CHECK_MS,
  CONNECTIONS_MAX,
  HEADER_BYTES_MAX,
  HEADERS_TIMEOUT_MS,
  KEEP_ALIVE_MS,
} from '../core/limits.ts'
import { PROBLEM_TYPE, sendProblem, toProblem, toTallyError } from './problem.ts'

export interface ListenerSettings {
  readonly tlsCertFile: string | undefined
  readonly tlsKeyFile: string | undefined
  readonly trustProxy: boolean
  /** How long a request may take to arrive, milliseconds. */
  readonly requestTimeoutMs: number
}

/**
 * The bare application with every bound of the connection set. Requests are neither logged nor given a
 * logger of their own: that would cost more than counting an event does.
 */
export function createListener(settings: ListenerSettings): FastifyInstance {
  const { tlsCertFile, tlsKeyFile, trustProxy } = settings
  // Node looks for slow requests at intervals, so the last look has to come before the time is up.
  const requestTimeoutMs = Math.max(CONNECTIONS_CHECK_MS, settings.requestTimeoutMs - CONNECTIONS_CHECK_MS)
  const http: HttpOptions = {
    headersTimeout: Math.min(HEADERS_TIMEOUT_MS, requestTimeoutMs),
    connectionsCheckingInterval: CONNECTIONS_CHECK_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
  }
  const options = {
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // While it stops, requests on open connections are still answered; see stopServer.
    return503OnClosing: false,
    // Only the nearest proxy is believed: what stands further left in X-Forwarded-For, a client wrote.
    trustProxy: trustProxy ? (_address: string, hop: number) => hop === 0 : false,
    // Names are bounded by their own rules, with errors that say so; this would answer 414 without a reason.
    routerOptions: { maxParamLength: HEADER_BYTES_MAX },
    // Parameters that no schema knows are refused, not dropped.
    ajv: { customOptions: { removeAdditional: false } },
    clientErrorHandler: answerClientError,
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(reply, toTallyError(error, request)),
  } satisfies FastifyServerOptions
  const app =
    tlsCertFile === undefined || tlsKeyFile === undefined
      ? Fastify({ ...options, http })
      : Fastify({ ...options, https: { ...http, ...readTls(tlsCertFile, tlsKeyFile) } })
  app.server.maxConnections = CONNECTIONS_MAX
  // The guard counts the headers and refuses; with a limit here Node would drop the rest silently.
  app.server.maxHeadersCount = 0
  return app
}

function readTls(certFile: string, keyFile: string) {
  return { cert: readFileSync(certFile), key: readFileSync(keyFile), minVersion: 'TLSv1.2' } as const
}

/** Answers what is not even a request, or never became a whole one, and closes the connection. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const problem = toProblem(clientError(error.code))
  const body = JSON.stringify(problem)
  socket.write(
    `HTTP/1.1 ${problem.status} ${problem.code}\r\ncontent-type: ${PROBLEM_TYPE}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
  socket.destroySoon()
}

function clientError(code: string | undefined): TallyError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new TallyError('request_timeout', 'The request did not arrive in time')
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new TallyError('headers_too_large', 'The headers are larger than this service takes', {
      expected: `at most ${HEADER_BYTES_MAX} bytes`,
    })
  }
  return new TallyError('bad_request', 'This is not a well-formed HTTP request')
}
