import type { Readable } from 'node:stream'
import { textFlaw } from '../../core/key-text.ts'
import { EVENT_ID_CHARS_MAX } from '../../core/limits.ts'
import {
  deltaOf,
  type Fields,
  Flaw,
  type Found,
  type ImportRecord,
  keyOf,
  readRecord,
  timeOf,
} from './format.ts'
import { readLines } from './lines.ts'

/**
 * Reads NDJSON: an object a line. A field is a member, or a path of members with dots between them. A
 * member `id` is the event's own id.
 */
export async function* readNdjson(input: Readable, fields: Fields): AsyncGenerator<ImportRecord[]> {
  for await (const lines of readLines(input)) {
    const records: ImportRecord[] = []
    for (const { number, text, flaw } of lines) {
      if (text?.trim() === '') continue
      records.push(
        text === undefined
          ? { line: number, raw: '', found: undefined, ...(flaw === undefined ? {} : { flaw }) }
          : readRecord(number, text, (raw) => parse(raw, fields)),
      )
    }
    yield records
  }
}

function parse(raw: string, fields: Fields): Found {
  let value: unknown
  try {
    value = JSON.parse(raw)
  } catch {
    throw new Flaw('the line is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Flaw('the line is no JSON object')
  const delta = memberOf(value, fields.delta ?? 'delta')
  const time = memberOf(value, fields.time ?? 'time')
  if (delta === undefined && fields.delta !== undefined) throw new Flaw(`there is no member ${fields.delta}`)
  if (time === undefined && fields.time !== undefined) throw new Flaw(`there is no member ${fields.time}`)
  return {
    counter: fields.counter ?? textOf(value, 'counter'),
    key: keyOf(textOf(value, fields.key)),
    delta: delta === undefined ? 1 : deltaOf(delta),
    timeMs: time === undefined ? undefined : timeOf(time),
    id: idOf(memberOf(value, 'id')),
  }
}

function memberOf(value: object, path: string): unknown {
  if (Object.hasOwn(value, path)) return (value as Record<string, unknown>)[path]
  let found: unknown = value
  for (const name of path.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined
    found = (found as Record<string, unknown>)[name]
  }
  return found
}

/** Text, or a number in its JSON form: keys are often numbers in a database. */
function textOf(value: object, path: string): string {
  const found = memberOf(value, path)
  if (typeof found === 'string') return found
  if (typeof found === 'number' && Number.isSafeInteger(found)) return String(found)
  throw new Flaw(`the member ${path} is ${found === undefined ? 'missing' : 'no text'}`)
}

function idOf(id: unknown): string | undefined {
  if (id === undefined) return undefined
  if (typeof id === 'number' && Number.isSafeInteger(id)) return String(id)
  const flaw = typeof id === 'string' ? textFlaw(id, EVENT_ID_CHARS_MAX) : 'is no text'
  if (flaw !== undefined) throw new Flaw(`the id ${flaw}`)
  return id as string
}
