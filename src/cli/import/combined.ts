import type { Readable } from 'node:stream'
import { parseInstant } from '../../core/rfc3339.ts'
import {
  countableTime,
  deltaOf,
  type Fields,
  Flaw,
  type Found,
  type ImportRecord,
  keyOf,
  readRecord,
} from './format.ts'
import { readLines } from './lines.ts'

/** The fields of a log line that can be counted by. */
export const COMBINED_KEYS: readonly string[] = ['path', 'ip', 'status', 'method', 'user', 'referer', 'agent']

/**
 * The common and combined log formats (https://httpd.apache.org/docs/2.4/logs.html): address, identity,
 * user, [time], "request", status, size, and in the combined format "referer" and "agent". Within quotes a
 * backslash escapes. A user may contain spaces, so the time is what ends it.
 */
const LINE =
  /^(?<ip>\S+) \S+ (?<user>.*?) ?\[(?<day>\d\d)\/(?<month>[A-Z][a-z]{2})\/(?<year>\d{4}):(?<clock>\d\d:\d\d:\d\d) (?<zone>[+-]\d{4})\] "(?<request>(?:[^"\\]|\\.)*)" (?<status>\d{3}) (?<bytes>\d+|-)(?<tail> .*)?$/

/**
 * What the combined format adds. Real logs have lines that were cut in here; the request before it is
 * whole, so it counts, unless the count is by what was cut.
 */
const TAIL = /^ "(?<referer>(?:[^"\\]|\\.)*)" "(?<agent>(?:[^"\\]|\\.)*)"/

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Reads an access log. Empty lines are no records. */
export async function* readCombined(input: Readable, fields: Fields): AsyncGenerator<ImportRecord[]> {
  const { counter = '' } = fields
  for await (const lines of readLines(input)) {
    const records: ImportRecord[] = []
    for (const { number, text, flaw, isEnded } of lines) {
      if (text === '') continue
      records.push(
        text === undefined
          ? { line: number, raw: '', found: undefined, ...(flaw === undefined ? {} : { flaw }) }
          : readRecord(number, text, (raw) => parse(raw, { ...fields, counter }, isEnded)),
      )
    }
    yield records
  }
}

function parse(raw: string, fields: Fields & { counter: string }, isEnded: boolean): Found {
  const parts = LINE.exec(raw)?.groups
  if (parts === undefined) throw new Flaw('this is not a line of the common or combined log format')
  // The end of a file that is still being written may be cut anywhere; it counts once it is whole.
  if (!isEnded && !TAIL.test(parts.tail ?? '')) {
    throw new Flaw('the last line has no line break and may be unfinished')
  }
  return {
    counter: fields.counter,
    key: keyOf(partOf(parts, fields.key)),
    delta: fields.delta === undefined ? 1 : deltaOf(parts.bytes === '-' ? 0 : parts.bytes),
    timeMs: timeOfParts(parts),
    id: undefined,
  }
}

function partOf(parts: Readonly<Record<string, string | undefined>>, name: string): string {
  if (name === 'referer' || name === 'agent') {
    const added = TAIL.exec(parts.tail ?? '')?.groups
    if (added === undefined) throw new Flaw(`the line has no ${name}`)
    return added[name] ?? ''
  }
  if (name !== 'path' && name !== 'method') return parts[name] ?? ''
  const [method, path] = (parts.request ?? '').split(' ', 2)
  if (path === undefined) throw new Flaw('the request names no path')
  return (name === 'path' ? path : method) ?? ''
}

/** Most lines have the second of the line before them. */
let lastText = ''
let lastMs = 0

function timeOfParts({
  day,
  month,
  year,
  clock,
  zone = '',
}: Readonly<Record<string, string | undefined>>): number {
  const text = `${year}-${month}-${day}T${clock}${zone}`
  if (text === lastText) return lastMs
  const number = String(MONTHS.indexOf(month ?? '') + 1).padStart(2, '0')
  const timeMs = parseInstant(`${year}-${number}-${day}T${clock}${zone.slice(0, 3)}:${zone.slice(3)}`)
  if (timeMs === undefined) throw new Flaw('the time is no time of the calendar')
  lastMs = countableTime(timeMs)
  lastText = text
  return lastMs
}
