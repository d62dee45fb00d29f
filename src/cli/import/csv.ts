import type { Readable } from 'node:stream'
import { CsvError, parse as csvParser } from 'csv-parse'
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
  readonly record: readonly string[]
  readonly raw: string
  readonly info: { readonly lines: number }
}

/** Where the fields stand in a record; -1 where there is no such column. */
interface Columns {
  readonly count: number
  readonly key: number
  readonly time: number
  readonly delta: number
}

const RECORDS_TOGETHER = 500

/**
 * Reads CSV (RFC 4180) whose first record names the columns. A quote in the wrong place ends the import: from
 * there on nobody can tell where records begin.
 */
export async function* readCsv(
  input: Readable,
  fields: Fields,
  delimiter: string,
): AsyncGenerator<ImportRecord[]> {
  const { counter = '' } = fields
  let columns: Columns | undefined
  let records: ImportRecord[] = []
  const parser = csvParser({
    bom: true,
    delimiter,
    info: true,
    raw: true,
    max_record_size: IMPORT_LINE_BYTES_MAX,
    relax_column_count: true,
    skip_empty_lines: true,
  })
  input.on('error', (error) => parser.destroy(error))
  for await (const { record, raw, info } of rowsOf(input.pipe(parser))) {
    if (columns === undefined) {
      columns = findColumns(record, fields)
      continue
    }
    const known = columns
    records.push(readRecord(info.lines, raw, () => read(record, known, counter)))
    if (records.length < RECORDS_TOGETHER) continue
    yield records
    records = []
  }
  yield records
}

async function* rowsOf(rows: AsyncIterable<CsvRow>): AsyncGenerator<CsvRow> {
  try {
    yield* rows
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    const message = `${error.message}. Mend it and run the import again: what was counted is not counted twice`
    throw new CommandError(EXIT.failed, message, { cause: error })
  }
}

/** The time is optional unless it was asked for. */
function findColumns(names: readonly string[], { key, time, delta }: Fields): Columns {
  const indexOf = (flag: string, column: string): number => {
    const index = names.indexOf(column)
    if (index !== -1) return index
    const known = names.join(', ')
    throw new CommandError(EXIT.usage, `--${flag}: expected one of the columns ${known}, got ${column}`)
  }
  return {
    count: names.length,
    key: indexOf('key', key),
    time: time === undefined ? names.indexOf('time') : indexOf('time', time),
    delta: delta === undefined ? -1 : indexOf('delta', delta),
  }
}

function read(record: readonly string[], columns: Columns, counter: string): Found {
  // The parser decodes leniently; two damaged keys would become one.
  if (record.some((field) => field.includes('\uFFFD'))) throw new Flaw('the record is not valid UTF-8')
  if (record.length !== columns.count) {
    throw new Flaw(`the record has ${record.length} columns, its head ${columns.count}`)
  }
  return {
    counter,
    key: keyOf(record[columns.key] ?? ''),
    delta: columns.delta === -1 ? 1 : deltaOf(record[columns.delta]),
    timeMs: columns.time === -1 ? undefined : timeOf(record[columns.time]),
    id: undefined,
  }
}
