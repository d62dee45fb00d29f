import type { Readable } from 'node:stream'
import { type CsvError, parse as csvParser } from 'csv-parse'
import { IMPORT_LINE_BYTES_MAX } from '../../core/limits.ts'
import { CommandError, EXIT } from '../exit.ts'
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

interface CsvRow {
  readonly record: Readonly<Record<string, string>>
  readonly raw: string
  readonly info: { readonly lines: number }
}

const RECORDS_TOGETHER = 500

/** Reads CSV (RFC 4180) whose first record names the columns. */
export async function* readCsv(
  input: Readable,
  fields: Fields,
  delimiter: string,
): AsyncGenerator<ImportRecord[]> {
  const { counter = '' } = fields
  let records: ImportRecord[] = []
  const parser = csvParser({
    bom: true,
    columns: (names: string[]) => checkColumns(names, fields),
    delimiter,
    info: true,
    raw: true,
    max_record_size: IMPORT_LINE_BYTES_MAX,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: (error: CsvError | undefined, raw: string | undefined) => {
      const line = Number(error?.lines ?? 0)
      records.push({
        line,
        raw: raw ?? '',
        found: undefined,
        flaw: error?.message ?? 'the record is damaged',
      })
      return undefined
    },
  })
  input.on('error', (error) => parser.destroy(error))
  for await (const row of input.pipe(parser) as AsyncIterable<CsvRow>) {
    records.push(readRecord(row.info.lines, row.raw, (raw) => read(raw, row.record, { ...fields, counter })))
    if (records.length < RECORDS_TOGETHER) continue
    yield records
    records = []
  }
  yield records
}

function checkColumns(names: readonly string[], fields: Fields): string[] {
  const wanted = { key: fields.key, time: fields.time, delta: fields.delta }
  for (const [flag, column] of Object.entries(wanted)) {
    if (column === undefined || names.includes(column)) continue
    throw new CommandError(
      EXIT.usage,
      `--${flag}: expected one of the columns ${names.join(', ')}, got ${column}`,
    )
  }
  return [...names]
}

function read(
  raw: string,
  record: Readonly<Record<string, string>>,
  fields: Fields & { counter: string },
): Found {
  // The parser decodes leniently; two damaged keys would become one.
  if (raw.includes('\uFFFD')) throw new Flaw('the record is not valid UTF-8')
  const time = record[fields.time ?? 'time']
  return {
    counter: fields.counter,
    key: keyOf(record[fields.key] ?? ''),
    delta: fields.delta === undefined ? 1 : deltaOf(record[fields.delta]),
    timeMs: time === undefined ? undefined : timeOf(time),
    id: undefined,
  }
}
