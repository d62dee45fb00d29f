import type { IncomingHttpHeaders } from 'node:http'
import { shown, TallyError } from '../core/errors.ts'

/** What a body of `POST /v1/events` is. */
export type BodyKind = 'json' | 'lines' | 'structured' | 'batch' | 'binary'

const KINDS: ReadonlyMap<string, BodyKind> = new Map([
  ['application/json', 'json'],
  ['application/x-ndjson', 'lines'],
  ['application/ndjson', 'lines'],
  ['application/jsonl', 'lines'],
  ['application/cloudevents+json', 'structured'],
  ['application/cloudevents-batch+json', 'batch'],
])

/** Media types that `POST /v1/events` takes by name; with CloudEvents headers it takes any. */
export const MEDIA_TYPES: readonly string[] = [...KINDS.keys()]

const CLOUDEVENTS = 'application/cloudevents'

/**
 * Tells what a body is from its headers. Without a media type it is JSON. A request with one of the required
 * CloudEvents headers is a CloudEvent in binary mode, whatever its media type, unless that is one of
 * CloudEvents itself (HTTP binding, section 3). Throws `unsupported_media_type`.
 */
export function bodyKindOf(headers: IncomingHttpHeaders): BodyKind {
  const contentType = headers['content-type']
  const isBinary =
    headers['ce-specversion'] !== undefined ||
    headers['ce-type'] !== undefined ||
    headers['ce-source'] !== undefined ||
    headers['ce-id'] !== undefined
  if (!isBinary && (contentType === undefined || contentType === 'application/json')) return 'json'
  if (isBinary && !contentType?.toLowerCase().startsWith(CLOUDEVENTS)) return 'binary'
  return kindOf(contentType ?? '')
}

/** Throws `unsupported_media_type` unless the body is JSON; without a media type it is. */
export function assertJson(headers: IncomingHttpHeaders): void {
  const contentType = headers['content-type']
  if (contentType === undefined || contentType === 'application/json') return
  if (kindOf(contentType) !== 'json') throw unsupported(contentType, 'application/json')
}

function kindOf(contentType: string): BodyKind {
  const [essence = '', ...parameters] = contentType.split(';')
  const kind = KINDS.get(essence.trim().toLowerCase())
  if (kind === undefined) throw unsupported(contentType, `one of ${MEDIA_TYPES.join(', ')}`)
  for (const parameter of parameters) {
    const [name = '', value = ''] = parameter.split('=')
    const isCharset = name.trim().toLowerCase() === 'charset'
    if (isCharset && !/^"?utf-?8"?$/i.test(value.trim())) throw unsupported(contentType, 'charset=utf-8')
  }
  return kind
}

function unsupported(contentType: string, expected: string): TallyError {
  return new TallyError('unsupported_media_type', 'This route does not take this media type', {
    at: 'Content-Type',
    expected,
    got: shown(contentType),
  })
}
