import type { DatabaseSync } from 'node:sqlite'
import { HOUR_MS } from '../../core/limits.ts'
import type { Answer } from './memtable.ts'
import { readMeta } from './open-file.ts'
import { STORED_SUM, StoredSum } from './stored-sum.ts'

/** How many findings of a kind are told. */
const FINDINGS_MAX = 20

/**
 * Looks for damage: the file's own structure, then everything that is kept twice and has to agree. Reads it
 * all, as of one moment. Resolves with what is wrong, empty if nothing.
 */
export function checkStore(db: DatabaseSync): string[] {
  // What reads a damaged structure may fail anywhere: there the structure is all that can be told.
  const broken = attempt(db, structure)
  if (broken.length > 0) return broken
  return attempt(db, () => [
    ...valuesAndSeries(db),
    ...bucketsAndTheirParts(db),
    ...ledgerLines(db),
    ...storedOnce(db),
  ])
}

/** Runs a part of the check on one snapshot; what keeps it from being read is a finding too. */
function attempt(db: DatabaseSync, look: (db: DatabaseSync) => string[]): string[] {
  try {
    db.exec('BEGIN')
    const found = look(db)
    db.exec('COMMIT')
    return found
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    return [error instanceof Error ? error.message : String(error)]
  }
}

function structure(db: DatabaseSync): string[] {
  return db
    .prepare(`PRAGMA integrity_check(${FINDINGS_MAX})`)
    .all()
    .map((row) => String(row.integrity_check))
    .filter((message) => message !== 'ok')
}

/** A key's value is the sum of its days, and of its hours. */
function valuesAndSeries(db: DatabaseSync): string[] {
  const disagreeing = db.prepare(`
    WITH days AS (SELECT key, sum(count) AS total FROM day GROUP BY key),
         hours AS (SELECT key, sum(count) AS total FROM hour GROUP BY key)
    SELECT c.name AS counter, k.name AS key, k.value AS value,
           coalesce(d.total, 0) AS days, coalesce(h.total, 0) AS hours
    FROM key k JOIN counter c ON c.id = k.counter AND c.whole_series = 1
    LEFT JOIN days d ON d.key = k.id LEFT JOIN hours h ON h.key = k.id
    WHERE k.value <> coalesce(d.total, 0) OR k.value <> coalesce(h.total, 0) LIMIT ?`)
  return disagreeing
    .all(FINDINGS_MAX)
    .map(
      (row) =>
        `${row.counter}/${row.key}: value ${row.value}, its days sum to ${row.days}, its hours to ${row.hours}`,
    )
}

interface Level {
  readonly coarse: 'hour' | 'day'
  readonly fine: 'minute' | 'hour'
  /** How many fine buckets make a coarse one. */
  readonly ratio: number
  /** How many coarse buckets make a chunk of theirs. */
  readonly perChunk: number
}

/** An hour is the sum of its minutes, as far back as minutes are kept, and a day that of its hours. */
function bucketsAndTheirParts(db: DatabaseSync): string[] {
  const firstHour = Math.floor(Number(readMeta(db, 'minute_from_ms') ?? 0) / HOUR_MS)
  const hours = { coarse: 'hour', fine: 'minute', ratio: 60, perChunk: 24 } as const
  const days = { coarse: 'day', fine: 'hour', ratio: 24, perChunk: 32 } as const
  return [...parts(db, hours, firstHour), ...parts(db, days, 0)]
}

/** Chunks of the fine table are the coarse buckets, so that both are read in the order in which they lie. */
function parts(db: DatabaseSync, { coarse, fine, ratio, perChunk }: Level, from: number): string[] {
  const disagreeing = db.prepare(`
    WITH part AS (
      SELECT chunk, key, sum(count) AS total, min(bucket) / ${ratio} AS low, max(bucket) / ${ratio} AS high
      FROM ${fine} WHERE chunk >= ?1 GROUP BY chunk, key
    )
    SELECT p.key AS key, p.chunk AS bucket, p.total AS parts, w.count AS whole
    FROM part p LEFT JOIN ${coarse} w
      ON w.chunk = p.chunk / ${perChunk} AND w.key = p.key AND w.bucket = p.chunk
    WHERE p.total <> coalesce(w.count, 0) OR p.low <> p.chunk OR p.high <> p.chunk
    UNION ALL
    SELECT w.key, w.bucket, 0, w.count FROM ${coarse} w
    WHERE w.chunk <> w.bucket / ${perChunk} OR w.bucket >= ?1 AND w.count <> 0
      AND NOT EXISTS (SELECT 1 FROM ${fine} p WHERE p.chunk = w.bucket AND p.key = w.key)
    LIMIT ?2`)
  return disagreeing
    .all(from, FINDINGS_MAX)
    .map((row) => `key ${row.key}, ${coarse} ${row.bucket}: ${row.whole}, its ${fine}s sum to ${row.parts}`)
}

function ledgerLines(db: DatabaseSync): string[] {
  const lines = db.prepare(
    'SELECT * FROM ledger WHERE received <> counted + duplicate + rejected OR min(received, counted, duplicate, rejected) < 0',
  )
  return lines.all().map((line) => `the ledger does not balance: ${JSON.stringify(line)}`)
}

/** Ids, answers and minutes add up to their sum. */
function storedOnce(db: DatabaseSync): string[] {
  const sum = new StoredSum()
  const ids = db.prepare('SELECT id AS ids, at FROM seen UNION ALL SELECT ids, at FROM seen_block')
  for (const row of ids.iterate()) {
    if (!(row.ids instanceof Uint8Array)) return ['a row of the seen ids holds none']
    sum.toggleIds(row.ids, Number(row.at))
  }
  const answers = db.prepare(
    'SELECT key, fingerprint, received, counted, duplicate, seq, at AS atS FROM answer',
  )
  for (const answer of answers.iterate()) sum.toggleAnswer(answer as unknown as Answer)
  for (const row of db.prepare('SELECT key, bucket, count FROM minute').iterate()) {
    sum.addMinute(Number(row.key), Number(row.bucket), Number(row.count))
  }
  const kept = new StoredSum(readMeta(db, STORED_SUM)).toString()
  if (sum.toString() === kept) return []
  return ['seen ids, answers and minutes do not add up to their sum: one of them was damaged']
}
