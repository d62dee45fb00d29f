import { parse as parseYaml } from 'yaml'
import { type CloudEventMapping, COUNTER_NAME_PATTERN, type Counter, type Counters } from '../core/counter.ts'
import { shown } from '../core/errors.ts'
import { NAME_CHARS_MAX } from '../core/limits.ts'
import { nearest } from './nearest.ts'
import type { Parser } from './parsers.ts'
import type { Input } from './problem.ts'

const NAME = new RegExp(COUNTER_NAME_PATTERN, 'u')
const NAME_EXPECTED = `a name of up to ${NAME_CHARS_MAX} letters, digits, _ and -, starting with a letter`
const COUNTER_KEYS = ['from', 'series', 'cloudEvents']
const MAPPING_KEYS = ['type', 'key', 'delta']
const DATA_PATH = /^data(\.[^.\s]+)+$/u

/**
 * Reads the declared counters: a map of names in the file; in a variable or flag, names with commas between
 * them, or the same map as YAML or JSON text.
 */
export const counters: Parser<Counters> = (input) => {
  const declared = asMap(input)
  if (declared === undefined) return undefined
  const names = Object.keys(declared)
  if (names.length === 0) return input.refuse({ expected: 'at least one counter' })
  const found = new Map<string, Counter>()
  for (const name of names) {
    const counter = NAME.test(name)
      ? readCounter(name, declared[name], input)
      : input.refuse({ expected: NAME_EXPECTED, got: shown(name), path: [name] })
    if (counter !== undefined) found.set(name, counter)
  }
  return found.size === names.length ? found : undefined
}

function asMap({ raw, refuse }: Input): Record<string, unknown> | undefined {
  const expected = 'a map of counters, such as clicks: { from: events }'
  if (isMap(raw)) return raw
  if (typeof raw !== 'string') return refuse({ expected, got: shown(raw) })
  if (!raw.trimStart().startsWith('{') && !raw.includes(':')) {
    return Object.fromEntries(raw.split(',').map((name) => [name.trim(), {}]))
  }
  try {
    const parsed: unknown = parseYaml(raw)
    if (isMap(parsed)) return parsed
  } catch {
    // Refused below: the text is shown, the parser's wording adds nothing.
  }
  return refuse({ expected: `names with commas between them, or ${expected}`, got: shown(raw) })
}

function readCounter(name: string, declared: unknown, input: Input): Counter | undefined {
  const path = [name]
  const fields = declared ?? {}
  if (!isMap(fields)) {
    return input.refuse({
      expected: 'a map such as { from: events, series: minute }',
      got: shown(declared),
      path,
    })
  }
  const from = fields.from ?? 'events'
  if (from === 'rows') {
    return input.refuse({
      expected: '`events` (counters fed by rows are not in this version)',
      got: '"rows"',
      path: [...path, 'from'],
    })
  }
  const knowsAll = refuseUnknown(fields, COUNTER_KEYS, path, input)
  const isFromEvents = from === 'events'
  if (!isFromEvents) input.refuse({ expected: '`events`', got: shown(from), path: [...path, 'from'] })
  const series = fields.series ?? 'minute'
  const isSeries = series === 'minute' || series === 'none'
  if (!isSeries) input.refuse({ expected: '`minute`, `none`', got: shown(series), path: [...path, 'series'] })
  const mapped = fields.cloudEvents
  const cloudEvents = mapped === undefined ? undefined : readMapping(mapped, [...path, 'cloudEvents'], input)
  const isMapped = mapped === undefined || cloudEvents !== undefined
  if (!knowsAll || !isFromEvents || !isSeries || !isMapped) return undefined
  return { name, from, series, ...(cloudEvents === undefined ? {} : { cloudEvents }) }
}

function readMapping(
  declared: unknown,
  path: readonly string[],
  input: Input,
): CloudEventMapping | undefined {
  if (!isMap(declared)) {
    return input.refuse({
      expected: 'a map such as { type: org.example.click, key: subject }',
      got: shown(declared),
      path,
    })
  }
  const knowsAll = refuseUnknown(declared, MAPPING_KEYS, path, input)
  const { type, key, delta } = declared
  const isType = typeof type === 'string' && type !== ''
  if (!isType)
    input.refuse({ expected: 'the type of the CloudEvents', got: shown(type), path: [...path, 'type'] })
  const isKey = typeof key === 'string' && (key === 'subject' || DATA_PATH.test(key))
  if (!isKey) {
    input.refuse({
      expected: '`subject` or a path such as data.banner.id',
      got: shown(key),
      path: [...path, 'key'],
    })
  }
  const isDelta = delta === undefined || (typeof delta === 'string' && DATA_PATH.test(delta))
  if (!isDelta)
    input.refuse({ expected: 'a path such as data.amount', got: shown(delta), path: [...path, 'delta'] })
  if (!knowsAll || !isType || !isKey || !isDelta) return undefined
  return { type, key, ...(delta === undefined ? {} : { delta }) }
}

function refuseUnknown(
  fields: Record<string, unknown>,
  known: readonly string[],
  path: readonly string[],
  input: Input,
): boolean {
  const unknown = Object.keys(fields).filter((field) => !known.includes(field))
  for (const field of unknown) {
    const suggestion = nearest(field, known)
    input.refuse({
      expected: `one of ${known.join(', ')}`,
      got: shown(field),
      path: [...path, field],
      ...(suggestion === undefined ? {} : { suggestion }),
    })
  }
  return unknown.length === 0
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
