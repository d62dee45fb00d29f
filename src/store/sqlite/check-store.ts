import type { DatabaseSync } from 'node:sqlite'
import { HOUR_MS } from '../../core/limits.ts'
import type { Answer } from './memtable.ts'
import { readMeta } from './open-file.ts'
import { REMEMBERED_SUM, RememberedSum } from './remembered-sum.ts'

/** How many findings of a kind are told. */
const FINDINGS_MAX = 20

/**
 * Looks for damage: the file's own structure, then everything that is kept twice and has to agree. Reads it
 * all, as of one moment. Resolves with what is wrong, empty if nothing.
 */
export function checkStore(db: DatabaseSync): string[] {
  db.exec('BEGIN')
  try {
    return [
      ...structure(db),
      ...valuesAndSeries(db),
      ...minutesAndHours(db),
      ...ledgerLines(db),
      ...remembered(db),
    ]
  } finally {
    db.exec('COMMIT')
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

/** An hour is the sum of its minutes, as far back as minutes are kept. */
function minutesAndHours(db: DatabaseSync): string[] {
  const firstHour = Math.floor(Number(readMeta(db, 'minute_from_ms') ?? 0) / HOUR_MS)
  const disagreeing = db.prepare(`
    WITH minutes AS (
      SELECT chunk AS bucket, key, sum(count) AS total FROM minute WHERE chunk >= ?1 GROUP BY chunk, key
    )
    SELECT m.key AS key, m.bucket AS bucket, m.total AS minutes, coalesce(h.count, 0) AS hour
    FROM minutes m LEFT JOIN hour h ON h.chunk = m.bucket / 24 AND h.key = m.key AND h.bucket = m.bucket
    WHERE m.total <> coalesce(h.count, 0)
    UNION ALL
    SELECT h.key, h.bucket, 0, h.count FROM hour h
    WHERE h.bucket >= ?1 AND h.count <> 0
      AND NOT EXISTS (SELECT 1 FROM minute m WHERE m.chunk = h.bucket AND m.key = h.key)
    LIMIT ?2`)
  return disagreeing.all(firstHour, FINDINGS_MAX).map((row) => {
    const hour = new Date(Number(row.bucket) * HOUR_MS)
    const time = Number.isNaN(hour.getTime()) ? `hour ${row.bucket}` : hour.toISOString()
    return `key ${row.key}, ${time}: ${row.hour}, its minutes sum to ${row.minutes}`
  })
}

function ledgerLines(db: DatabaseSync): string[] {
  const lines = db.prepare(
    'SELECT * FROM ledger WHERE received <> counted + duplicate + rejected OR min(received, counted, duplicate, rejected) < 0',
  )
  return lines.all().map((line) => `the ledger does not balance: ${JSON.stringify(line)}`)
}

/** What is remembered to count nothing twice adds up to its sum. */
function remembered(db: DatabaseSync): string[] {
  const sum = new RememberedSum()
  const ids = db.prepare('SELECT id AS ids, at FROM seen UNION ALL SELECT ids, at FROM seen_block')
  for (const row of ids.iterate()) {
    if (!(row.ids instanceof Uint8Array)) return ['a row of the seen ids holds none']
    sum.toggleIds(row.ids, Number(row.at))
  }
  const answers = db.prepare(
    'SELECT key, fingerprint, received, counted, duplicate, seq, at AS atS FROM answer',
  )
  for (const answer of answers.iterate()) sum.toggleAnswer(answer as unknown as Answer)
  const kept = new RememberedSum(readMeta(db, REMEMBERED_SUM)).toString()
  if (sum.toString() === kept) return []
  return ['the ids and answers that were seen do not add up to their sum: some may be counted again']
}
