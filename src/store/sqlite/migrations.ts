import type { DatabaseSync } from 'node:sqlite'
import { TallyError } from '../../core/errors.ts'

/**
 * The schema, as numbered steps that run by themselves when a store is opened. A step that has landed is
 * never edited; the number of the last one stands in `PRAGMA user_version`.
 *
 * - `journal`: batches that are committed and not yet folded into the tables below.
 * - `fold`: up to which batch, and how far within that group, folding has come.
 * - `key`: a key of a counter with its value; `version` is the batch that last changed it.
 * - `minute`, `hour`, `day`: the series. `chunk` (the hour, the day, 32 days) goes first, so that what is
 *   written and purged together lies together, and a key's buckets of a chunk are neighbours.
 * - `seen_block`: event ids in the order of the time they carry (UUIDv7), a page full of them in a row.
 * - `seen`: all other event ids, each a row. An id is 16 bytes and 4 of its counter; `at` is when it came, in
 *   seconds.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE counter (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, whole_series INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, cells TEXT NOT NULL, ids BLOB NOT NULL,
    answers TEXT NOT NULL, ledger TEXT NOT NULL, crc INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE fold (
    one INTEGER PRIMARY KEY CHECK (one = 1), through INTEGER NOT NULL, done INTEGER NOT NULL
  ) STRICT;
  INSERT INTO fold VALUES (1, 0, -1);
  CREATE TABLE key (
    id INTEGER PRIMARY KEY, counter INTEGER NOT NULL, name TEXT NOT NULL,
    value INTEGER NOT NULL, version INTEGER NOT NULL, UNIQUE (counter, name)
  ) STRICT;
  CREATE INDEX key_by_value ON key (counter, value DESC);
  CREATE TABLE minute (
    chunk INTEGER NOT NULL, key INTEGER NOT NULL, bucket INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (chunk, key, bucket)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE hour (
    chunk INTEGER NOT NULL, key INTEGER NOT NULL, bucket INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (chunk, key, bucket)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE day (
    chunk INTEGER NOT NULL, key INTEGER NOT NULL, bucket INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (chunk, key, bucket)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE seen (id BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE seen_block (
    number INTEGER PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, at INTEGER NOT NULL,
    ids BLOB NOT NULL
  ) STRICT;
  CREATE INDEX seen_block_by_time ON seen_block (first_ms, last_ms);
  CREATE INDEX seen_block_by_age ON seen_block (at);
  CREATE TABLE answer (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, received INTEGER NOT NULL, counted INTEGER NOT NULL,
    duplicate INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE ledger (
    stream TEXT PRIMARY KEY, received INTEGER NOT NULL, counted INTEGER NOT NULL,
    duplicate INTEGER NOT NULL, rejected INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE api_key (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, scopes TEXT NOT NULL, hash TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
]

/** Brings the schema up to date, each step in a transaction of its own. Throws `store_too_new`. */
export function migrate(db: DatabaseSync): void {
  const found = Number(db.prepare('PRAGMA user_version').get()?.user_version ?? 0)
  if (found > MIGRATIONS.length) {
    throw new TallyError(
      'store_too_new',
      `The store has schema ${found}; this version knows up to ${MIGRATIONS.length}.`,
    )
  }
  for (const [index, step] of MIGRATIONS.entries()) {
    if (index < found) continue
    db.exec(`BEGIN IMMEDIATE; ${step}; PRAGMA user_version = ${index + 1}; COMMIT`)
  }
}
