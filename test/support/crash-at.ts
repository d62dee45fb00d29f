import { ServerResponse } from 'node:http'
import { DatabaseSync, StatementSync } from 'node:sqlite'

/**
 * A preload (`node --import 'crash-at.ts?point=after-commit&hit=3' …`) that kills its own process the n-th
 * time it comes to a named point. It wraps Node's own classes, in the main thread and in the workers, which
 * inherit the preload: the service's code has no hook that could be met in production.
 *
 * - `before-write`: a batch is counted in memory, nothing of it has reached SQLite.
 * - `after-write`: its journal row is written, its transaction is not committed.
 * - `after-commit`: it is durable, the writer has not told.
 * - `before-acknowledgement`: the answer is made, nothing of it has been sent.
 * - `inside-slice`: a part of a fold is written, its transaction is not committed.
 * - `between-slices`: a slice of a fold is committed, and it was not the last one.
 * - `after-last-slice`: the last slice is committed, the journal's rows are gone.
 * - `in-recovery`: the log that a crash left is about to be moved into the file.
 * - `after-recovery`: it was moved.
 */
export const CRASH_POINTS = [
  'before-write',
  'after-write',
  'after-commit',
  'before-acknowledgement',
  'inside-slice',
  'between-slices',
  'after-last-slice',
  'in-recovery',
  'after-recovery',
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]

/** Node's arguments that make a process crash at the `hit`-th time it comes to `point`. */
export function crashAt(point: CrashPoint, hit: number): string[] {
  const preload = new URL(import.meta.url)
  preload.search = `?point=${point}&hit=${hit}`
  return ['--import', preload.href]
}

const asked = new URL(import.meta.url).searchParams
const crashPoint = asked.get('point')
let hitsLeft = Number(asked.get('hit'))

function reached(point: CrashPoint): void {
  if (point === crashPoint && --hitsLeft === 0) process.kill(process.pid, 'SIGKILL')
}

/** How far the last fold statement of this thread said the fold has come; -1 when it is complete. */
let foldDone: unknown
let isFolding = false

function wrapRun(): void {
  const { run } = StatementSync.prototype
  StatementSync.prototype.run = function (this: StatementSync, ...values) {
    const sql = this.sourceSQL.trim()
    const again = () => Reflect.apply(run, this, values) as ReturnType<typeof run>
    if (sql.startsWith('INSERT INTO journal')) return atJournal(again)
    if (sql.startsWith('UPDATE fold SET')) {
      isFolding = true
      foldDone = values[1]
      const result = again()
      reached('inside-slice')
      return result
    }
    const result = again()
    if (sql === 'COMMIT' && isFolding) {
      isFolding = false
      reached(foldDone === -1 ? 'after-last-slice' : 'between-slices')
    }
    return result
  } as typeof run
}

let openDatabase: DatabaseSync | undefined

function atJournal<Result>(write: () => Result): Result {
  reached('before-write')
  const isLast = crashPoint === 'after-write' && hitsLeft === 1
  // A row that is written by itself is committed with it; for once it gets a transaction around it.
  if (isLast && openDatabase?.isTransaction === false) openDatabase.exec('BEGIN IMMEDIATE')
  const result = write()
  reached('after-write')
  reached('after-commit')
  return result
}

function wrapDatabase(): void {
  const { exec, prepare } = DatabaseSync.prototype
  DatabaseSync.prototype.prepare = function (this: DatabaseSync, ...values) {
    openDatabase = this
    return Reflect.apply(prepare, this, values)
  } as typeof prepare
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql) {
    const isRecovery = sql.includes('wal_checkpoint(TRUNCATE)')
    if (isRecovery) reached('in-recovery')
    Reflect.apply(exec, this, [sql])
    if (isRecovery) reached('after-recovery')
  }
}

function wrapResponse(): void {
  const { end } = ServerResponse.prototype
  ServerResponse.prototype.end = function (this: ServerResponse, ...values: unknown[]) {
    if (this.req.method === 'POST' && this.statusCode === 200) reached('before-acknowledgement')
    return Reflect.apply(end, this, values)
  } as typeof end
}

if (crashPoint !== null) {
  wrapRun()
  wrapDatabase()
  wrapResponse()
}
