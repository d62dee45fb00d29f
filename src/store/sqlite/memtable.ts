import { crc32 } from 'node:zlib'
import type { LedgerLine } from '../../core/batch.ts'
import { TallyError } from '../../core/errors.ts'
import { CellTable, type StoredCounter } from './cells.ts'
import { ID_WORDS, IdSet, wordsOfBytes } from './id-set.ts'

/** The answer given to a request with an Idempotency-Key. */
export interface Answer {
  readonly key: string
  readonly fingerprint: string
  readonly received: number
  readonly counted: number
  readonly duplicate: number
  readonly seq: number
  readonly atS: number
}

/** The durable totals of one stream. */
export type LedgerTotals = Omit<LedgerLine, 'stream' | 'pending'>

/** A batch as the journal keeps it: a row of the table, enough to count it again after a crash. */
export interface JournalRow {
  readonly seq: number
  readonly atS: number
  /** JSON of JournalCells[]. */
  readonly cells: string
  /** 20 bytes an id. */
  readonly ids: Uint8Array
  /** JSON of Answer[]. */
  readonly answers: string
  /** JSON: totals by stream after this batch. */
  readonly ledger: string
  /** CRC-32 of the columns above: a damaged row is refused, never counted. */
  readonly crc: number
}

/** A journal row with its checksum. */
export function sealed(row: Omit<JournalRow, 'crc'>): JournalRow {
  return { ...row, crc: checksum(row) }
}

function checksum(row: Omit<JournalRow, 'crc'>): number {
  let crc = crc32(`${row.seq} ${row.atS} ${row.answers} ${row.ledger}`)
  crc = crc32(row.cells, crc)
  return crc32(row.ids, crc)
}

/** The cells of one counter, by columns. */
interface JournalCells {
  readonly counterId: number
  readonly keys: string[]
  readonly values: number[]
  /** By minute: number of the key in `keys`, delta; and so on. */
  readonly minutes: Record<string, number[]>
}

/** The journal's form of the cells of a batch. */
export function encodeCells(cells: CellTable): string {
  const byCounter = new Map<number, JournalCells>()
  for (const cell of cells.order) {
    let columns = byCounter.get(cell.counter.id)
    if (columns === undefined) {
      columns = { counterId: cell.counter.id, keys: [], values: [], minutes: {} }
      byCounter.set(cell.counter.id, columns)
    }
    const { keys, values, minutes } = columns
    const number = keys.length
    keys.push(cell.key)
    values.push(cell.value)
    cell.minutes.forEach((minute, delta) => {
      minutes[minute] ??= []
      minutes[minute].push(number, delta)
    })
  }
  return JSON.stringify([...byCounter.values()])
}

/**
 * Batches that are durable in the journal and not yet in the tables, gathered: what the tables lack. The
 * same journal rows in the same order make the same memtable, entry for entry, so that a fold that a crash
 * cut off goes on where it stood.
 */
export class Memtable {
  readonly cells = new CellTable()
  readonly ids: IdSet
  readonly answers = new Map<string, Answer>()
  /** The newest batch in here; 0 if there is none. */
  lastSeq = 0

  constructor(idsExpected = 0) {
    this.ids = new IdSet(idsExpected)
  }

  get isEmpty(): boolean {
    return this.lastSeq === 0
  }

  /** Takes in a batch's cells after its commit. Its ids are in already: the counting put them there. */
  merge(batch: CellTable, seq: number): void {
    // Counter by counter, as a row of the journal has them: replaying it must give the same order.
    for (const cell of batch.byCounter()) {
      const own =
        cell.target ??
        this.cells.get(cell.counter.id, cell.key) ??
        this.cells.create(cell.counter, cell.key, cell)
      own.value = cell.value
      own.version = seq
      cell.minutes.forEach((minute, delta) => {
        own.minutes.add(minute, delta)
      })
    }
  }

  /** Notes that a batch is in here. */
  stamp(seq: number): void {
    this.lastSeq = seq
  }

  /** Takes in a row of the journal after a restart. Throws `store_corrupt` for a damaged one. */
  replay(row: JournalRow, counter: (id: number) => StoredCounter): void {
    if (checksum(row) !== row.crc) {
      throw new TallyError('store_corrupt', `Batch ${row.seq} of the journal is damaged. Restore a backup.`)
    }
    const batch = new CellTable()
    for (const columns of JSON.parse(row.cells) as JournalCells[]) {
      const cells = columns.keys.map((key, index) =>
        batch.create(counter(columns.counterId), key, {
          value: columns.values[index] ?? 0,
          version: row.seq,
        }),
      )
      for (const [minute, pairs] of Object.entries(columns.minutes)) {
        for (let at = 0; at < pairs.length; at += 2) {
          cells[pairs[at] as number]?.minutes.add(Number(minute), pairs[at + 1] as number)
        }
      }
    }
    this.merge(batch, row.seq)
    const words = wordsOfBytes(row.ids)
    for (let at = 0; at < words.length; at += ID_WORDS) this.ids.add(words, at)
    for (const answer of JSON.parse(row.answers) as Answer[]) this.answers.set(answer.key, answer)
    this.stamp(row.seq)
  }
}
