import { createReadStream, type ReadStream, statSync } from 'node:fs'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { DEFAULT_COUNTER } from '../../core/counter.ts'
import { formatInstant } from '../../core/rfc3339.ts'
import { openApi } from '../access.ts'
import type { Api } from '../api.ts'
import { CommandError, EXIT, type ExitCode } from '../exit.ts'
import type { Invocation } from '../invocation.ts'
import { grouped, printable, type Terminal } from '../terminal.ts'
import { COMBINED_KEYS, readCombined } from './combined.ts'
import { readCsv } from './csv.ts'
import type { Fields, Found, ImportFormat, ImportRecord } from './format.ts'
import { LineIds } from './line-ids.ts'
import { readNdjson } from './ndjson.ts'
import { startProgress } from './progress.ts'
import { Sender } from './sender.ts'

export interface ImportOptions {
  readonly format: ImportFormat
  readonly counter?: string
  readonly key?: string
  readonly time?: string
  readonly delta?: string
  readonly delimiter: string
  readonly source: string
  readonly strict?: boolean
}

/** What an import did. `read` is the sum of the others. */
interface Summary {
  readonly read: number
  readonly counted: number
  readonly duplicate: number
  readonly skipped: number
}

const SKIPPED_SHOWN_MAX = 5

/**
 * `tally import`: counts the records of a file. Every record has an id that only depends on the file's
 * content, so a rerun, also one after a kill, counts only what is missing, as long as the server remembers
 * the ids (its seenRetention).
 */
export async function runImport(
  { terminal, sources }: Invocation,
  file: string,
  options: ImportOptions,
): Promise<ExitCode> {
  const fields = fieldsOf(options)
  const input = openInput(file, terminal)
  const api = await openApi(sources, terminal)
  try {
    const summary = await importAll(api, input, { fields, options, terminal })
    tell(terminal, summary)
    return summary.skipped > 0 && options.strict ? EXIT.failed : EXIT.ok
  } finally {
    await api.close()
  }
}

function fieldsOf(options: ImportOptions): Fields {
  const { format, time, delta } = options
  const counter = options.counter ?? (format === 'ndjson' ? undefined : DEFAULT_COUNTER.name)
  const key = options.key ?? (format === 'combined' ? 'path' : 'key')
  if (format === 'combined') {
    refuseOther('--key', key, COMBINED_KEYS)
    if (delta !== undefined) refuseOther('--delta', delta, ['bytes'])
    if (time !== undefined) throw new CommandError(EXIT.usage, '--time: a log line has its own time')
  }
  if (format === 'csv' && options.delimiter.length !== 1) {
    throw new CommandError(EXIT.usage, '--delimiter: expected one character')
  }
  return { counter, key, time, delta }
}

function refuseOther(flag: string, value: string, allowed: readonly string[]): void {
  if (allowed.includes(value)) return
  throw new CommandError(EXIT.usage, `${flag}: expected ${allowed.join(', ')} for this format, got ${value}`)
}

interface Input {
  readonly stream: Readable
  readonly name: string
  readonly totalBytes: number | undefined
  /** Bytes of the file read so far; compressed ones of a .gz. */
  readonly bytesRead: () => number
}

function openInput(file: string, terminal: Terminal): Input {
  if (file === '-') {
    return { stream: terminal.streams.stdin, name: 'stdin', totalBytes: undefined, bytesRead: () => 0 }
  }
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined) throw new CommandError(EXIT.notFound, `there is no file ${file}`)
  if (found.isDirectory()) throw new CommandError(EXIT.usage, `${file} is a folder`)
  const stream: ReadStream = createReadStream(file)
  const isZipped = file.endsWith('.gz')
  return {
    // Errors of the file reach whoever reads the unzipped stream.
    stream: isZipped ? pipeline(stream, createGunzip(), () => undefined) : stream,
    name: file,
    totalBytes: found.isFile() ? found.size : undefined,
    bytesRead: () => stream.bytesRead,
  }
}

async function importAll(
  api: Api,
  input: Input,
  { fields, options, terminal }: { fields: Fields; options: ImportOptions; terminal: Terminal },
): Promise<Summary> {
  const { format, source } = options
  const ids = new LineIds([source, format, fields.counter ?? '', fields.key, fields.delta ?? ''])
  let read = 0
  let skipped = 0
  const skip = (line: number, reason: string): void => {
    skipped++
    if (skipped <= SKIPPED_SHOWN_MAX) terminal.note(`line ${line} is skipped: ${printable(reason)}`)
    else if (skipped === SKIPPED_SHOWN_MAX + 1) terminal.note('more lines are skipped')
  }
  const sender = new Sender(api, { refused: skip })
  const progress = await startProgress(terminal, input.name, input.totalBytes)
  try {
    for await (const records of recordsOf(input.stream, fields, options)) {
      for (const { line, raw, found, flaw = 'it cannot be read' } of records) {
        read++
        if (found === undefined) skip(line, flaw)
        else await sender.take({ line, event: eventOf(found, found.id ?? ids.next(raw, found.timeMs)) })
      }
      progress.update(input.bytesRead(), read)
    }
    await sender.end()
  } finally {
    await sender.settle()
    progress.end()
  }
  return { read, counted: sender.counted, duplicate: sender.duplicate, skipped }
}

function recordsOf(
  stream: Readable,
  fields: Fields,
  { format, delimiter }: ImportOptions,
): AsyncGenerator<ImportRecord[]> {
  if (format === 'csv') return readCsv(stream, fields, delimiter)
  return format === 'ndjson' ? readNdjson(stream, fields) : readCombined(stream, fields)
}

function eventOf({ counter, key, delta, timeMs }: Found, id: string) {
  return {
    counter,
    key,
    id,
    ...(delta === 1 ? {} : { delta }),
    ...(timeMs === undefined ? {} : { time: formatInstant(timeMs) }),
  }
}

function tell(terminal: Terminal, summary: Summary): void {
  const { read, counted, duplicate, skipped } = summary
  terminal.result(
    summary,
    () =>
      `${grouped(read)} read: ${grouped(counted)} counted, ${grouped(duplicate)} counted before, ${grouped(skipped)} skipped`,
  )
}
