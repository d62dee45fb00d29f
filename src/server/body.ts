import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { shown, TallyError } from '../core/errors.ts'
import { BODIES_BYTES_MAX, BODY_BYTES_MAX } from '../core/limits.ts'

/** Called exactly once, with the error or with the whole decoded body. */
export type BodyDone = (error: TallyError | null, body?: Buffer) => void

export interface ReadBodyOptions {
  /** The request's Content-Encoding; `undefined` and `identity` mean none. */
  readonly encoding: string | undefined
  /** The request's Content-Length, to refuse an oversized body before its first byte. */
  readonly contentLength: string | undefined
  /** Bound on the decoded body, bytes. */
  readonly limitBytes: number
}

/** Bytes of all bodies that have begun and not yet ended. One thread, so a plain number is exact. */
let heldBytes = 0

/**
 * Reads a request's body into one Buffer and undoes its Content-Encoding (`gzip`, RFC 9110 section 8.4.1.3)
 * while it streams, so that a bomb is noticed at the limit and never unfolded.
 * A body that arrives in one chunk is handed on without a copy.
 *
 * Errors: `body_too_large`, `unsupported_encoding`, `bad_request` (damaged gzip, connection lost half-way),
 * `overloaded` (all half-received bodies together reach BODIES_BYTES_MAX). After an error the rest of the
 * body is read and dropped, so that the client can still receive the answer.
 */
export function readBody(payload: Readable, options: ReadBodyOptions, done: BodyDone): void {
  const { encoding, limitBytes } = options
  if (encoding !== undefined && encoding !== 'identity' && encoding !== '') {
    readEncoded(payload, encoding, limitBytes, done)
    return
  }
  if (options.contentLength !== undefined && Number(options.contentLength) > limitBytes) {
    payload.resume()
    done(tooLarge(limitBytes))
    return
  }
  gather(payload, payload, limitBytes, done)
}

function readEncoded(payload: Readable, encoding: string, limitBytes: number, done: BodyDone): void {
  const coding = encoding.trim().toLowerCase()
  if (coding === 'identity') {
    gather(payload, payload, limitBytes, done)
    return
  }
  if (coding !== 'gzip' && coding !== 'x-gzip') {
    payload.resume()
    done(
      new TallyError('unsupported_encoding', 'Only gzip is undone', {
        at: 'Content-Encoding',
        expected: 'gzip or identity',
        got: shown(encoding),
      }),
    )
    return
  }
  const gunzip = createGunzip()
  gather(payload.pipe(gunzip), payload, limitBytes, (error, body) => {
    payload.unpipe(gunzip)
    if (error !== null) {
      gunzip.destroy()
      payload.resume()
    }
    done(error, body)
  })
}

/** Collects `decoded`, which is `payload` itself or its decoder, up to the limit. */
function gather(decoded: Readable, payload: Readable, limitBytes: number, done: BodyDone): void {
  let first: Buffer | undefined
  let chunks: Buffer[] | undefined
  let bytes = 0

  function finish(error: TallyError | null, body?: Buffer): void {
    heldBytes -= bytes
    decoded.removeListener('data', onData)
    decoded.removeListener('end', onEnd)
    decoded.removeListener('error', onError)
    // A late error of a stream nobody listens to would end the process.
    if (error !== null) decoded.on('error', ignore)
    if (decoded !== payload) {
      payload.removeListener('error', onError)
      payload.removeListener('close', onClose)
      payload.on('error', ignore)
    }
    if (error !== null) payload.resume()
    done(error, body)
  }

  function onData(chunk: Buffer): void {
    bytes += chunk.length
    heldBytes += chunk.length
    if (bytes > limitBytes) finish(tooLarge(limitBytes))
    else if (heldBytes > BODIES_BYTES_MAX) {
      finish(new TallyError('overloaded', 'Too many bodies are being received', { retryAfterS: 1 }))
    } else if (first === undefined) first = chunk
    else if (chunks === undefined) chunks = [first, chunk]
    else chunks.push(chunk)
  }

  function onEnd(): void {
    finish(null, chunks === undefined ? (first ?? EMPTY) : Buffer.concat(chunks, bytes))
  }

  function onError(cause: Error): void {
    finish(unreadable(cause))
  }

  function onClose(): void {
    if (!payload.readableEnded) finish(unreadable(new Error('aborted')))
  }

  decoded.on('data', onData)
  decoded.on('end', onEnd)
  decoded.on('error', onError)
  if (decoded !== payload) {
    payload.on('error', onError)
    payload.on('close', onClose)
  }
}

const EMPTY = Buffer.alloc(0)

function ignore(): void {}

function tooLarge(limitBytes: number): TallyError {
  return new TallyError('body_too_large', `A body may have at most ${limitBytes} bytes`, {
    expected: `at most ${limitBytes} bytes, decoded`,
  })
}

function unreadable(cause: Error): TallyError {
  if ('code' in cause && typeof cause.code === 'string' && cause.code.startsWith('Z_')) {
    return new TallyError('bad_request', 'The gzip stream is damaged or cut short', {
      at: 'Content-Encoding',
      expected: 'a complete gzip stream',
      cause,
    })
  }
  return new TallyError('bad_request', 'The connection ended before the body did', { cause })
}

/**
 * Makes `request.body` the raw bytes (a Buffer) for these media types on `app` and what is registered under
 * it; call it before the routes. The handler parses, so that every error can name its place. The types are
 * matched without their parameters; `'*'` takes whatever has no parser of its own, a missing type included.
 */
export function addRawBodyParser(app: FastifyInstance, contentTypes: readonly string[]): void {
  for (const contentType of contentTypes) {
    if (app.hasContentTypeParser(contentType)) app.removeContentTypeParser(contentType)
    app.addContentTypeParser(contentType, parseRaw)
  }
}

function parseRaw(
  request: FastifyRequest,
  payload: Readable,
  done: (error: Error | null, body?: unknown) => void,
): void {
  const { headers } = request.raw
  readBody(
    payload,
    {
      encoding: headers['content-encoding'],
      contentLength: headers['content-length'],
      limitBytes: BODY_BYTES_MAX,
    },
    done,
  )
}
