import type { CountEvent } from '../core/batch.ts'
import { shown, TallyError } from '../core/errors.ts'
import { type CloudEvent, readCloudEvent } from './cloudevent.ts'
import { inside, invalid, isObject, type Spot } from './event.ts'
import { type Arrival, countEvents } from './event-body.ts'
import { checkJson } from './json-check.ts'
import { decodeJson } from './json-text.ts'

const NO_PLACE: Spot = { path: [], place: {}, code: 'invalid_cloudevent' }

/** Reads a CloudEvent in structured mode (`application/cloudevents+json`). */
export function readStructured(body: Buffer, arrival: Arrival): CountEvent[] {
  return limited(readJsonEvent(readJson(body), arrival, NO_PLACE), arrival)
}

/** Reads a batch of CloudEvents (`application/cloudevents-batch+json`), which may be empty. */
export function readBatch(body: Buffer, arrival: Arrival): CountEvent[] {
  const value = readJson(body)
  if (!Array.isArray(value)) throw invalid('A batch is no array', 'an array of CloudEvents', value, NO_PLACE)
  countEvents(value.length, arrival)
  const events = value.flatMap((item, index) => readJsonEvent(item, arrival, { ...NO_PLACE, path: [index] }))
  return limited(events, arrival)
}

/** One CloudEvent feeds every counter that names its type, so there may be more events than there were sent. */
function limited(events: CountEvent[], arrival: Arrival): CountEvent[] {
  countEvents(events.length, arrival)
  return events
}

function readJson(body: Buffer): unknown {
  const { text } = decodeJson(body)
  checkJson(text)
  return JSON.parse(text)
}

/** The JSON event format (cloudevents/formats/json-format.md). */
function readJsonEvent(value: unknown, arrival: Arrival, spot: Spot): CountEvent[] {
  if (!isObject(value)) throw invalid('A CloudEvent is no object', 'an object', value, spot)
  const { data, data_base64: encoded, ...rest } = value
  // Section 2.2: an attribute that is null is unset.
  const attributes = Object.fromEntries(Object.entries(rest).filter(([, member]) => member !== null))
  const isJson = declaresJson(attributes.datacontenttype)
  const event: CloudEvent = { attributes, data: () => (isJson ? data : undefined) }
  if (encoded === undefined) return readCloudEvent(event, arrival, spot)
  const at = inside(spot, 'data_base64')
  if (data !== undefined) throw invalid('Both data and data_base64', 'only one of them', encoded, at)
  if (typeof encoded !== 'string' || !isBase64(encoded)) {
    throw invalid('The data is not encoded as it says', 'base64 (RFC 4648 section 4)', encoded, at)
  }
  const decoded = () => (isJson ? readData(Buffer.from(encoded, 'base64'), at) : undefined)
  return readCloudEvent({ attributes, data: decoded }, arrival, spot)
}

/** Section 3.1.1: no media type means JSON, and so does any subtype `json` or `…+json`. */
function declaresJson(mediaType: unknown): boolean {
  return mediaType === undefined || /^[^/]+\/(?:[^;]*\+)?json[ \t]*(?:;|$)/i.test(String(mediaType))
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
}

function readData(bytes: Buffer, spot: Spot): unknown {
  try {
    return readJson(bytes)
  } catch (error) {
    if (!(error instanceof TallyError)) throw error
    throw invalid(
      `The data is no JSON: ${error.message}`,
      'JSON, as the media type says',
      error.detail.at,
      spot,
    )
  }
}

const PREFIX = 'ce-'

/**
 * Reads a CloudEvent in binary mode (cloudevents/bindings/http-protocol-binding.md, section 3.1): attributes in
 * headers, the body its data, taken for JSON only if a counter looks into it.
 * `rawHeaders` are names and values in turn, as they came.
 */
export function readBinary(
  body: Buffer | undefined,
  arrival: Arrival,
  rawHeaders: readonly string[],
): CountEvent[] {
  const spot: Spot = { ...NO_PLACE, place: { isBinary: true } }
  const attributes = new Map<string, string>()
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const header = rawHeaders[at]?.toLowerCase() ?? ''
    const value = rawHeaders[at + 1] ?? ''
    if (header === 'content-type') attributes.set('datacontenttype', value)
    if (!header.startsWith(PREFIX)) continue
    const name = header.slice(PREFIX.length)
    if (name === 'datacontenttype') {
      throw invalid('A header that must not be', 'the media type in Content-Type', value, inside(spot, name))
    }
    if (attributes.has(name)) throw invalid('A header came twice', 'each once', value, inside(spot, name))
    attributes.set(name, readHeader(value, inside(spot, name)))
  }
  const isJson = declaresJson(attributes.get('datacontenttype'))
  const hasData = isJson && body !== undefined && body.length > 0
  const data = () => (hasData ? readData(body, inside(spot, 'data')) : undefined)
  return limited(readCloudEvent({ attributes: Object.fromEntries(attributes), data }, arrival, spot), arrival)
}

/** Section 3.1.3.2: quotes and their escapes first, then one round of percent-decoding, strictly. */
function readHeader(value: string, spot: Spot): string {
  const expected = 'printable ASCII, anything else percent-encoded as UTF-8'
  if (!/^[ -~]*$/.test(value)) throw invalid('A header is not ASCII', expected, value, spot)
  const isQuoted = value.length > 1 && value.startsWith('"') && value.endsWith('"')
  const unquoted = isQuoted ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value
  try {
    return decodeURIComponent(unquoted)
  } catch {
    throw invalid('A header is not encoded as it must be', expected, shown(value), spot)
  }
}
