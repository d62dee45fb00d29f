import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { workerData } from 'node:worker_threads'
import { WAL_PAGES_MAX } from '../../core/limits.ts'
import type { IdGap } from './counting.ts'
import { ID_BYTES } from './id-set.ts'
import type { Answer } from './memtable.ts'
import { readMeta } from './open-file.ts'
import { SeenWriter } from './seen-writer.ts'
import { serveCalls } from './serve-calls.ts'
import { STORED_SUM, StoredSum } from './stored-sum.ts'
import type { FoldedKey, PurgeProgress, PurgeRequest, Slice, WriterCalls } from './writer-protocol.ts'

/**
 * The thread that writes. It holds the only writing connection and does one call after the other; whoever
 * calls decides what is written, this thread only says it in SQL.
 */

const MINUTES_PER_HOUR = 60
const HOURS_PER_DAY = 24
const DAYS_PER_CHUNK = 32
/** Removing a block of ids costs about as much as removing this many rows. */
const ROWS_PER_BLOCK = 10

const db = new DatabaseSync((workerData as { file: string }).file, { timeout: 5_000 })
// The log is moved into the file as soon as it is a few megabytes long: a log that is written over again,
// instead of growing, needs no change of the file's length, which halves the time of an fsync.
db.exec(`PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${WAL_PAGES_MAX}; PRAGMA cache_size = -65536`)

const begin = db.prepare('BEGIN IMMEDIATE')
const commitTransaction = db.prepare('COMMIT')
const rollback = db.prepare('ROLLBACK')
const syncOff = db.prepare('PRAGMA synchronous = NORMAL')
const syncOn = db.prepare('PRAGMA synchronous = FULL')

const insertJournal = db.prepare('INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)')
const insertCounter = db.prepare('INSERT OR IGNORE INTO counter VALUES (?, ?, ?)')
const upsertKey = db.prepare(`
  INSERT INTO key (counter, name, value, version) VALUES (?, ?, ?, ?)
  ON CONFLICT (counter, name) DO UPDATE SET value = excluded.value, version = excluded.version
  RETURNING id`)
upsertKey.setReturnArrays(true)
const upsertBucket = Object.fromEntries(
  ['minute', 'hour', 'day'].map((table) => [
    table,
    db.prepare(`
      INSERT INTO ${table} VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET count = count + excluded.count`),
  ]),
) as Record<'minute' | 'hour' | 'day', StatementSync>
const upsertAnswer = db.prepare('INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?)')
const setFold = db.prepare('UPDATE fold SET through = ?, done = ?')
const deleteJournal = db.prepare('DELETE FROM journal WHERE seq <= ?')
const upsertLedger = db.prepare('INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?)')
const seenIds = new SeenWriter(db)
const setMeta = db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)')
let storedSum = readMeta(db, STORED_SUM)

/** A transaction that keeps the sum over what it stores. */
function summing<Result>(work: (sum: StoredSum) => Result): Result {
  const sum = new StoredSum(storedSum)
  const result = transaction(() => {
    const worked = work(sum)
    setMeta.run(STORED_SUM, sum.toString())
    return worked
  })
  storedSum = sum.toString()
  return result
}

/** Runs work in one transaction; whatever fails leaves none open. */
function transaction<Result>(work: () => Result): Result {
  begin.run()
  try {
    const result = work()
    commitTransaction.run()
    return result
  } catch (error) {
    if (db.isTransaction) rollback.run()
    throw error
  }
}

function foldKey(key: FoldedKey, minuteFrom: number, sum: StoredSum): void {
  const found = upsertKey.get(key.counterId, key.key, key.value, key.version) as unknown as [number]
  const [id] = found
  const hours = new Map<number, number>()
  for (let at = 0; at < key.minutes.length; at += 2) {
    const minute = key.minutes[at] as number
    const delta = key.minutes[at + 1] as number
    if (delta === 0) continue
    const hour = Math.floor(minute / MINUTES_PER_HOUR)
    hours.set(hour, (hours.get(hour) ?? 0) + delta)
    if (minute < minuteFrom) continue
    upsertBucket.minute.run(hour, id, minute, delta)
    sum.addMinute(id, minute, delta)
  }
  const days = new Map<number, number>()
  for (const [hour, delta] of hours) {
    const day = Math.floor(hour / HOURS_PER_DAY)
    days.set(day, (days.get(day) ?? 0) + delta)
    upsertBucket.hour.run(day, id, hour, delta)
  }
  for (const [day, delta] of days) {
    upsertBucket.day.run(Math.floor(day / DAYS_PER_CHUNK), id, day, delta)
  }
}

function fold(slice: Slice): IdGap | undefined {
  // A slice that a power failure takes back is still in the journal, so it needn't be synced.
  syncOff.get()
  try {
    summing((sum) => {
      for (const key of slice.keys) foldKey(key, slice.minuteFrom, sum)
      seenIds.insert(slice.ids, slice.blockRange, slice.atS)
      sum.toggleIds(slice.ids, slice.atS)
      for (const answer of slice.answers) {
        const { key, fingerprint, received, counted, duplicate, seq, atS } = answer
        upsertAnswer.run(key, fingerprint, received, counted, duplicate, seq, atS)
        sum.toggleAnswer(answer)
      }
      setFold.run(slice.through, slice.last === undefined ? slice.done : -1)
      if (slice.last === undefined) return
      for (const [stream, totals] of slice.last.ledger) {
        upsertLedger.run(stream, totals.received, totals.counted, totals.duplicate, totals.rejected)
      }
      deleteJournal.run(slice.through)
    })
  } finally {
    syncOn.get()
  }
  return slice.last === undefined ? undefined : seenIds.gapAround(slice.last.gapAroundMs)
}

const idAfter = db.prepare('SELECT id FROM seen WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?')
const deleteSeen = db.prepare('DELETE FROM seen WHERE id > ? AND id <= ? AND at < ? RETURNING id AS ids, at')
const deleteSeenRest = db.prepare('DELETE FROM seen WHERE id > ? AND at < ? RETURNING id AS ids, at')
const deleteBlocks = db.prepare(`
  DELETE FROM seen_block WHERE number IN (SELECT number FROM seen_block WHERE at < ? LIMIT ?)
  RETURNING ids, at`)
const deleteMinutes = db.prepare(`
  DELETE FROM minute WHERE (chunk, key, bucket) IN
    (SELECT chunk, key, bucket FROM minute WHERE chunk < ? LIMIT ?)
  RETURNING key, bucket, count`)
const deleteAnswers = db.prepare(`
  DELETE FROM answer WHERE key IN (SELECT key FROM answer WHERE at < ? LIMIT ?)
  RETURNING key, fingerprint, received, counted, duplicate, seq, at AS atS`)

/** Takes rows that were deleted out of the sum; how many there were. */
function forget(sum: StoredSum, rows: readonly unknown[]): number {
  for (const { ids, at } of rows as { ids: Uint8Array; at: number }[]) sum.toggleIds(ids, at)
  return rows.length
}

function forgetAnswers(sum: StoredSum, rows: readonly unknown[]): number {
  for (const answer of rows as Answer[]) sum.toggleAnswer(answer)
  return rows.length
}

function forgetMinutes(sum: StoredSum, rows: readonly unknown[]): number {
  const minutes = rows as { key: number; bucket: number; count: number }[]
  for (const { key, bucket, count } of minutes) sum.addMinute(key, bucket, -count)
  return rows.length
}

/** One step of a purge: walks on through the ids by `rowsMax` rows and removes what is past its time. */
function purge(request: PurgeRequest): PurgeProgress {
  return summing((sum) => {
    const next = idAfter.get(request.after, request.rowsMax - 1)?.id
    const upTo = next instanceof Uint8Array ? next : undefined
    const rows =
      upTo === undefined
        ? deleteSeenRest.all(request.after, request.seenBeforeS)
        : deleteSeen.all(request.after, upTo, request.seenBeforeS)
    let removed = forget(sum, rows)
    let more = upTo !== undefined
    const blocksMax = Math.ceil(request.rowsMax / ROWS_PER_BLOCK)
    const answers = forgetAnswers(sum, deleteAnswers.all(request.seenBeforeS, request.rowsMax))
    const blocks = forget(sum, deleteBlocks.all(request.seenBeforeS, blocksMax))
    let minutes = 0
    if (request.hourBefore !== undefined) {
      minutes = forgetMinutes(sum, deleteMinutes.all(request.hourBefore, request.rowsMax))
    }
    removed += answers + blocks + minutes
    more ||= answers === request.rowsMax || blocks === blocksMax || minutes === request.rowsMax
    return { removed, after: more ? (upTo ?? new Uint8Array(ID_BYTES).fill(255)) : undefined }
  })
}

const addKey = db.prepare('INSERT INTO api_key VALUES (?, ?, ?, ?, ?)')
const revokeKey = db.prepare('DELETE FROM api_key WHERE id = ?')

serveCalls<WriterCalls>({
  commit: ({ row, counters }) => {
    const append = () => {
      insertJournal.run(row.seq, row.atS, row.cells, row.ids, row.answers, row.ledger, row.crc)
    }
    if (counters.length === 0) return append()
    return transaction(() => {
      for (const [id, name, wholeSeries] of counters) insertCounter.run(id, name, wholeSeries ? 1 : 0)
      append()
    })
  },
  fold,
  purge,
  addKey: ({ id, name, scopes, hash, createdMs }) => {
    addKey.run(id, name, scopes, hash, createdMs)
  },
  revokeKey: ({ id }) => Number(revokeKey.run(id).changes) > 0,
  setMeta: ({ name, value }) => {
    setMeta.run(name, value)
  },
  close: () => db.close(),
})
