import { closeSync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { workerData } from 'node:worker_threads'
import { HOUR_MS, MINUTE_MS } from '../../core/limits.ts'
import type { Resolution, Span } from '../store.ts'
import { checkStore } from './check-store.ts'
import type {
  Fresh,
  Overlay,
  ReaderCalls,
  SeriesRequest,
  TopRequest,
  UnfoldedMinutes,
} from './reader-protocol.ts'
import { serveCalls } from './serve-calls.ts'

/** The thread for reads that may take long: series, tops of a range, backup, check. */

const { file } = workerData as { file: string }
const db = new DatabaseSync(file, { timeout: 5_000 })
db.exec(`PRAGMA cache_size = -65536;
  CREATE TEMP TABLE ranked (key INTEGER, sum INTEGER);
  CREATE TEMP TABLE lacking (name TEXT, sum INTEGER)`)

const BUCKET_MS: Record<Resolution, number> = { minute: MINUTE_MS, hour: HOUR_MS, day: 24 * HOUR_MS }
const BUCKETS_PER_CHUNK: Record<Resolution, number> = { minute: 60, hour: 24, day: 32 }
const MINUTES: Record<Resolution, number> = { minute: 1, hour: 60, day: 1440 }

const readFold = db.prepare('SELECT through, done FROM fold')
const readKeyId = db.prepare('SELECT id FROM key WHERE counter = ? AND name = ?')

function prepared(text: (table: Resolution) => string): Record<Resolution, StatementSync> {
  const of = (table: Resolution): StatementSync => {
    const statement = db.prepare(text(table))
    statement.setReturnArrays(true)
    return statement
  }
  return { minute: of('minute'), hour: of('hour'), day: of('day') }
}

const readBuckets = prepared(
  (table) => `
  WITH RECURSIVE part (chunk) AS (SELECT ?1 UNION ALL SELECT chunk + 1 FROM part WHERE chunk < ?2)
  SELECT bucket, count FROM part CROSS JOIN ${table} USING (chunk)
  WHERE key = ?3 AND bucket >= ?4 AND bucket < ?5 ORDER BY chunk, bucket`,
)
const sumByKey = prepared(
  (table) => `
  INSERT INTO temp.ranked SELECT key, sum(count) FROM ${table}
  WHERE chunk BETWEEN ?1 AND ?2 AND bucket >= ?3 AND bucket < ?4
    AND key IN (SELECT id FROM key WHERE counter = ?5) GROUP BY key`,
)

interface Snapshot {
  readonly through: number
  readonly done: number
}

/** Runs a read on one snapshot, unless the fold has gone on past the overlay. */
function onSnapshot<Result>(overlay: Overlay, read: (lacking: UnfoldedMinutes[]) => Result): Fresh<Result> {
  db.exec('BEGIN')
  try {
    const snapshot = readFold.get() as unknown as Snapshot
    const lacking = lackingOf(overlay, snapshot)
    return lacking === undefined ? 'stale' : read(lacking)
  } finally {
    db.exec('COMMIT')
  }
}

/** The cells of the overlay that the tables of the snapshot lack; undefined if that can't be told. */
function lackingOf(overlay: Overlay, snapshot: Snapshot): UnfoldedMinutes[] | undefined {
  const { frozenThrough, foldedThrough, cells } = overlay
  const isFrozenBegun = frozenThrough > 0 && snapshot.through === frozenThrough
  const isBeforeFrozen = snapshot.through === foldedThrough && snapshot.done === -1
  if (!isFrozenBegun && !isBeforeFrozen) return undefined
  if (isBeforeFrozen) return cells
  const done = snapshot.done === -1 ? Number.POSITIVE_INFINITY : snapshot.done
  return cells.filter((cell) => cell.index === -1 || cell.index >= done)
}

function bucketsOf(span: Span): { first: number; end: number; firstChunk: number; lastChunk: number } {
  const { resolution, fromMs, toMs } = span
  const first = Math.floor(fromMs / BUCKET_MS[resolution])
  const end = Math.ceil(toMs / BUCKET_MS[resolution])
  const perChunk = BUCKETS_PER_CHUNK[resolution]
  return { first, end, firstChunk: Math.floor(first / perChunk), lastChunk: Math.floor((end - 1) / perChunk) }
}

function exact(count: unknown): number {
  if (typeof count === 'number' && Number.isSafeInteger(count)) return count
  throw new Error('a bucket holds more than a number can carry exactly')
}

function series(request: SeriesRequest): Fresh<Float64Array> {
  return onSnapshot(request.overlay, (lacking) => {
    const keyId = readKeyId.get(request.counterId, request.key)?.id
    const pairs: number[] = []
    for (const span of request.spans) {
      const { resolution } = span
      const { first, end, firstChunk, lastChunk } = bucketsOf(span)
      const stored =
        keyId === undefined
          ? []
          : (readBuckets[resolution].all(firstChunk, lastChunk, keyId, first, end) as unknown as number[][])
      const buckets = withLacking(stored, lacking, { first, end, minutes: MINUTES[resolution] })
      for (const [bucket, count] of buckets)
        pairs.push((bucket as number) * BUCKET_MS[resolution], exact(count))
    }
    return new Float64Array(pairs)
  })
}

/** Adds to the stored buckets of a span what the tables lack. */
function withLacking(
  stored: number[][],
  lacking: UnfoldedMinutes[],
  span: { first: number; end: number; minutes: number },
): number[][] {
  const extra = new Map<number, number>()
  for (const cell of lacking) {
    for (let at = 0; at < cell.minutes.length; at += 2) {
      const bucket = Math.floor((cell.minutes[at] as number) / span.minutes)
      if (bucket < span.first || bucket >= span.end) continue
      extra.set(bucket, (extra.get(bucket) ?? 0) + (cell.minutes[at + 1] as number))
    }
  }
  if (extra.size === 0) return stored
  for (const [bucket = 0, count = 0] of stored) extra.set(bucket, (extra.get(bucket) ?? 0) + count)
  return [...extra].sort((left, right) => left[0] - right[0])
}

function top(request: TopRequest): Fresh<{ key: string; value: number }[]> {
  db.exec('DELETE FROM temp.ranked; DELETE FROM temp.lacking')
  return onSnapshot(request.overlay, (lacking) => {
    for (const span of request.spans) {
      const { first, end, firstChunk, lastChunk } = bucketsOf(span)
      sumByKey[span.resolution].run(firstChunk, lastChunk, first, end, request.counterId)
    }
    const insert = db.prepare('INSERT INTO temp.lacking VALUES (?, ?)')
    for (const cell of lacking) insert.run(cell.key, sumInside(cell, request.spans))
    const rows = db
      .prepare(`
        SELECT name, sum(total) AS value FROM (
          SELECT k.name AS name, r.sum AS total FROM temp.ranked r JOIN key k ON k.id = r.key
          UNION ALL SELECT name, sum AS total FROM temp.lacking WHERE sum <> 0
        ) GROUP BY name ORDER BY value DESC, name LIMIT ?`)
      .all(request.limit) as unknown as { name: string; value: number }[]
    return rows.map((row) => ({ key: row.name, value: exact(row.value) }))
  })
}

function sumInside(cell: UnfoldedMinutes, spans: readonly Span[]): number {
  let sum = 0
  for (let at = 0; at < cell.minutes.length; at += 2) {
    const startMs = (cell.minutes[at] as number) * MINUTE_MS
    if (spans.some((span) => startMs >= span.fromMs && startMs < span.toMs))
      sum += cell.minutes[at + 1] as number
  }
  return sum
}

/** A consistent copy, one read transaction, synced with its folder: intake goes on beside it. */
function backup({ file: target }: { file: string }): void {
  db.prepare('VACUUM INTO ?').run(target)
  for (const path of [target, dirname(target)]) {
    const handle = openSync(path, 'r')
    try {
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
  }
}

serveCalls<ReaderCalls>({
  series,
  top,
  backup,
  check: () => checkStore(db),
  close: () => db.close(),
})
