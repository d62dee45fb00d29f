import { createHash } from 'node:crypto'
import type { Idempotency } from '../core/batch.ts'
import { shown, TallyError } from '../core/errors.ts'
import { IDEMPOTENCY_KEY_CHARS_MAX } from '../core/limits.ts'

/** What of a request its Idempotency-Key stands for. */
export interface RequestIdentity {
  /** Whose key it is: the same key of two principals is two keys. */
  readonly principal: string
  readonly method: string
  /** The path as it was sent, without its query. */
  readonly path: string
  readonly contentType: string | undefined
  /** Header names and values in turn, as they came; the attributes of a binary CloudEvent are among them. */
  readonly rawHeaders: readonly string[]
  /** The body, decoded from its Content-Encoding. */
  readonly body: Buffer | undefined
}

/**
 * Reads the header of draft-ietf-httpapi-idempotency-key-header. The key is 1 to IDEMPOTENCY_KEY_CHARS_MAX
 * visible ASCII characters, either bare, as most clients send it, or in quotation marks, as the draft has it
 * (a String of RFC 9651); both say the same key. Throws `invalid_idempotency_key`.
 */
export function readIdempotency(header: string, request: RequestIdentity): Idempotency {
  const key = unquoted(header)
  if (key.length > IDEMPOTENCY_KEY_CHARS_MAX || !/^[!-~]+$/.test(key)) throw invalidKey(header)
  return { key: `${request.principal}\n${key}`, fingerprint: fingerprint(request) }
}

function unquoted(header: string): string {
  if (!header.startsWith('"')) return header
  const match = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header)
  if (match?.[1] === undefined) throw invalidKey(header)
  return match[1].replace(/\\(.)/g, '$1')
}

function invalidKey(header: string): TallyError {
  return new TallyError('invalid_idempotency_key', 'The Idempotency-Key is not usable', {
    at: 'Idempotency-Key',
    expected: `1 to ${IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters`,
    got: shown(header),
  })
}

/** Everything that decides what the request counts. Its parts can't run into each other: none holds a line feed. */
function fingerprint({ method, path, contentType, rawHeaders, body }: RequestIdentity): string {
  const hash = createHash('sha256')
  const lines = [`${method} ${path}`, contentType ?? '', ...cloudEventHeaders(rawHeaders), '']
  hash.update(`${lines.join('\n')}\n`)
  if (body !== undefined) hash.update(body)
  return hash.digest('base64url')
}

/** In an order of their own, as a proxy may send them on in another. */
function cloudEventHeaders(rawHeaders: readonly string[]): string[] {
  const headers: string[] = []
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? ''
    if (name.startsWith('ce-')) headers.push(`${name}:${rawHeaders[at + 1]}`)
  }
  return headers.sort()
}
