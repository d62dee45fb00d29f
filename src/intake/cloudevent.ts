import type { CountEvent } from '../core/batch.ts'
import type { CloudEventMapping, Counter, Counters } from '../core/counter.ts'
import type { TallyError } from '../core/errors.ts'
import { CLOUDEVENT_ATTRIBUTE_CHARS_MAX, KEY_CHARS_MAX } from '../core/limits.ts'
import {
  type EventRules,
  inside,
  invalid,
  isObject,
  readDelta,
  readText,
  readTime,
  type Spot,
} from './event.ts'
import { nearestNames } from './nearest-names.ts'

/**
 * CloudEvents 1.0.2 (cloudevents/spec.md), validated here rather than by the SDK, which takes many invalid
 * events and makes up a missing id.
 */

/** The attributes of one event, those that are unset left out, and where its data is found. */
export interface CloudEvent {
  readonly attributes: Readonly<Record<string, unknown>>
  /** Called only if a counter looks into the data. `undefined` where the event has none that is JSON. */
  readonly data: () => unknown
}

const ATTRIBUTE_NAME = /^[a-z0-9]{1,20}$/
/** RFC 3986: a scheme in front of the first colon, unless a slash, question mark or hash comes before it. */
const URI_REFERENCE =
  /^(?:[A-Za-z][A-Za-z0-9+.-]*:|(?![^/?#]*:))(?:[\w.~:/?@!$&'()*+,;=[\]-]|%[0-9A-Fa-f]{2})*(?:#(?:[\w.~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?$/
const ABSOLUTE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:/
/** RFC 2046 by way of RFC 9110 section 8.3.1: type, subtype, parameters. */
const MEDIA_TYPE =
  /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:[ \t]*;[ \t]*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"(?:[^"\\]|\\.)*"))*$/
const INTEGER_MIN = -(2 ** 31)
const INTEGER_MAX = 2 ** 31 - 1
/** Between source and id; no text may contain it, so the pair can't be mistaken for a plain id. */
const ID_SEPARATOR = '\u0000'

/**
 * Reads the events that a CloudEvent is for the counters naming its type: one each. Its identity is source and
 * id together, as CloudEvents has it. Throws `invalid_cloudevent`, also where no counter names the type, with
 * the place in front of which `spot` stands.
 */
export function readCloudEvent(event: CloudEvent, rules: EventRules, spot: Spot): CountEvent[] {
  const { attributes } = event
  for (const name of Object.keys(attributes)) checkName(name, attributes[name], inside(spot, name))
  const version = attributes.specversion
  if (version !== '1.0')
    throw invalid('Not a CloudEvent of version 1.0', '"1.0"', version, inside(spot, 'specversion'))
  const id = required(attributes, 'id', spot)
  const source = required(attributes, 'source', spot)
  if (!URI_REFERENCE.test(source)) {
    throw invalid('The source is no URI', 'a URI-reference (RFC 3986)', source, inside(spot, 'source'))
  }
  const type = required(attributes, 'type', spot)
  checkOptional(attributes, spot)
  const timeMs = readTime(attributes.time, rules, inside(spot, 'time'))
  const fed = countersFedBy(type, rules.counters)
  if (fed.length === 0) throw unknownType(type, rules.counters, inside(spot, 'type'))
  return fed.map(([counter, mapping]) => ({
    counter: counter.name,
    key: readKey(event, mapping, spot),
    delta: mapping.delta === undefined ? 1 : readMappedDelta(event, mapping.delta, spot),
    timeMs,
    id: `${source}${ID_SEPARATOR}${id}`,
  }))
}

/** Each attribute by the type system: section "Type System" and "Naming Conventions". */
function checkName(name: string, value: unknown, spot: Spot): void {
  if (!ATTRIBUTE_NAME.test(name) || name === 'data') {
    throw invalid('Not the name of an attribute', 'a name of 1 to 20 of a-z and 0-9', name, spot)
  }
  if (typeof value === 'string') {
    // An extension's string may be empty; those of the specification are checked one by one.
    if (value !== '') readText(value, CLOUDEVENT_ATTRIBUTE_CHARS_MAX, spot)
    return
  }
  if (typeof value === 'boolean') return
  if (Number.isInteger(value) && Number(value) >= INTEGER_MIN && Number(value) <= INTEGER_MAX) return
  throw invalid('Not the value of an attribute', 'a string, a boolean or a 32-bit integer', value, spot)
}

function required(attributes: CloudEvent['attributes'], name: string, spot: Spot): string {
  const value = attributes[name]
  if (value === undefined) {
    throw invalid(`The ${name} is missing`, `the required attribute ${name}`, value, inside(spot, name))
  }
  return readText(value, CLOUDEVENT_ATTRIBUTE_CHARS_MAX, inside(spot, name))
}

function checkOptional(attributes: CloudEvent['attributes'], spot: Spot): void {
  const { subject, dataschema, datacontenttype } = attributes
  if (subject !== undefined) readText(subject, CLOUDEVENT_ATTRIBUTE_CHARS_MAX, inside(spot, 'subject'))
  if (dataschema !== undefined) {
    const uri = readText(dataschema, CLOUDEVENT_ATTRIBUTE_CHARS_MAX, inside(spot, 'dataschema'))
    if (!URI_REFERENCE.test(uri) || !ABSOLUTE_URI.test(uri)) {
      throw invalid('The schema is no URI', 'an absolute URI (RFC 3986)', uri, inside(spot, 'dataschema'))
    }
  }
  if (datacontenttype !== undefined) {
    const type = readText(datacontenttype, CLOUDEVENT_ATTRIBUTE_CHARS_MAX, inside(spot, 'datacontenttype'))
    if (!MEDIA_TYPE.test(type)) {
      throw invalid('Not a media type', 'a media type (RFC 2046)', type, inside(spot, 'datacontenttype'))
    }
  }
}

function countersFedBy(type: string, counters: Counters): [Counter, CloudEventMapping][] {
  const fed: [Counter, CloudEventMapping][] = []
  for (const counter of counters.values()) {
    if (counter.cloudEvents?.type === type) fed.push([counter, counter.cloudEvents])
  }
  return fed
}

function unknownType(type: string, counters: Counters, spot: Spot): TallyError {
  const types = new Set<string>()
  for (const counter of counters.values()) if (counter.cloudEvents) types.add(counter.cloudEvents.type)
  const known = nearestNames(type, [...types])
  const expected =
    known.length === 0 ? 'a type that a counter names; none does' : `one of ${known.join(', ')}`
  return invalid('No counter names this type', expected, type, spot)
}

/** The key may be a number in the data: identifiers often are. */
function readKey(event: CloudEvent, mapping: CloudEventMapping, spot: Spot): string {
  const [value, found] = lookUp(event, mapping.key, spot)
  if (value === undefined) {
    throw invalid('The key of the counter is missing', `the key at ${mapping.key}`, value, found)
  }
  const key = Number.isSafeInteger(value) ? String(value) : value
  return readText(key, KEY_CHARS_MAX, found)
}

function readMappedDelta(event: CloudEvent, path: string, spot: Spot): number {
  const [value, found] = lookUp(event, path, spot)
  if (value === undefined) throw invalid('The delta is missing', `a number at ${path}`, value, found)
  return readDelta(value, found)
}

/** Follows `subject` or a dotted path into `data`. Own members only: nothing inherited is data. */
function lookUp(event: CloudEvent, path: string, spot: Spot): [unknown, Spot] {
  const [first = '', ...names] = path.split('.')
  let found = inside(spot, first)
  let value = first === 'data' ? event.data() : event.attributes[first]
  for (const name of names) {
    value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
    found = inside(found, name)
  }
  return [value, found]
}
