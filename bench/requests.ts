import { UUID_BYTES, Uuid7Writer } from './uuid7.ts'

/**
 * What a connection sends, over and over:
 * `single` one event with a UUIDv7 id; `stats` a click without a body; `read` one value of `keys` keys;
 * `array` many events with ids and times; `array-keyed` many events without ids under one Idempotency-Key;
 * `get` always the same path.
 */
export type RequestShape =
  | { readonly kind: 'single' | 'stats' | 'read'; readonly keys: number }
  | { readonly kind: 'array' | 'array-keyed'; readonly keys: number; readonly eventsPerRequest: number }
  | { readonly kind: 'get'; readonly path: string }

/** Makes the bytes of the next request. They are valid until the next call: one request is in flight. */
export type NextRequest = (nowMs: number) => Buffer

const HOST = 'Host: 127.0.0.1\r\n'
const JSON_TYPE = 'Content-Type: application/json\r\n'
const KEY_DIGITS = 3
const ZERO = 0x30

const ids = new Uuid7Writer()

/** How many events one request of this shape carries; a reading counts as one. */
export function eventsPerRequest(shape: RequestShape): number {
  return 'eventsPerRequest' in shape ? shape.eventsPerRequest : 1
}

/** One maker per connection: each owns the buffer it writes into. */
export function requestMaker(shape: RequestShape): NextRequest {
  switch (shape.kind) {
    case 'single':
      return single(shape.keys)
    case 'stats':
      return patched(`POST /stats/`, shape.keys, ` HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`)
    case 'read':
      return patched(`GET /v1/counters/clicks/`, shape.keys, ` HTTP/1.1\r\n${HOST}\r\n`)
    case 'get': {
      const request = Buffer.from(`GET ${shape.path} HTTP/1.1\r\n${HOST}\r\n`, 'latin1')
      return () => request
    }
    case 'array':
    case 'array-keyed':
      return array(shape)
  }
}

/** The body alone, for the reference that parses without a network. */
export function arrayBody(shape: RequestShape, nowMs: number): Buffer {
  const request = requestMaker(shape)(nowMs)
  const start = request.indexOf('\r\n\r\n') + 4
  return Buffer.from(request.subarray(start))
}

function patched(before: string, keys: number, after: string): NextRequest {
  const request = Buffer.from(`${before}${'0'.repeat(KEY_DIGITS)}${after}`, 'latin1')
  return () => {
    writeKey(request, before.length, keys)
    return request
  }
}

function single(keys: number): NextRequest {
  const body = `{"counter":"clicks","key":"000","id":"${' '.repeat(UUID_BYTES)}"}`
  const request = post('/v1/events', body)
  const start = request.length - body.length
  const keyAt = start + body.indexOf('000')
  const idAt = request.length - UUID_BYTES - 2
  return (nowMs) => {
    writeKey(request, keyAt, keys)
    ids.write(request, idAt, nowMs)
    return request
  }
}

/** Events of 117 bytes with id, 73 without, comma included; written once, then only patched. */
function array(shape: {
  kind: 'array' | 'array-keyed'
  keys: number
  eventsPerRequest: number
}): NextRequest {
  const keyed = shape.kind === 'array-keyed'
  const id = keyed ? '' : `"id":"${' '.repeat(UUID_BYTES)}",`
  const event = `{"counter":"clicks","key":"000","delta":1,${id}"time":"2026-01-01T00:00:00Z"}`
  const body = `[${Array<string>(shape.eventsPerRequest).fill(event).join(',')}]`
  const header = keyed ? `Idempotency-Key: ${'0'.repeat(UUID_BYTES)}\r\n` : ''
  const request = post('/v1/events', body, header)
  const keyAt = event.indexOf('000')
  const idAt = event.indexOf('    ')
  const timeAt = event.indexOf('2026')
  const start = request.length - body.length + 1
  const headerAt = request.indexOf('Idempotency-Key: ') + 'Idempotency-Key: '.length
  let writtenSecond = 0
  return (nowMs) => {
    const second = Math.floor(nowMs / 1000)
    const time = second === writtenSecond ? '' : new Date(second * 1000).toISOString().slice(0, 19)
    writtenSecond = second
    if (keyed) ids.write(request, headerAt, nowMs)
    for (let at = start; at < request.length; at += event.length + 1) {
      writeKey(request, at + keyAt, shape.keys)
      if (!keyed) ids.write(request, at + idAt, nowMs)
      if (time !== '') request.write(time, at + timeAt, 'latin1')
    }
    return request
  }
}

function post(path: string, body: string, header = ''): Buffer {
  const head = `POST ${path} HTTP/1.1\r\n${HOST}${JSON_TYPE}${header}Content-Length: ${body.length}\r\n\r\n`
  return Buffer.from(head + body, 'latin1')
}

function writeKey(target: Buffer, offset: number, keys: number): void {
  const key = Math.floor(Math.random() * keys)
  target[offset] = ZERO + Math.floor(key / 100)
  target[offset + 1] = ZERO + (Math.floor(key / 10) % 10)
  target[offset + 2] = ZERO + (key % 10)
}
