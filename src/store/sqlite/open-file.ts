import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { TallyError } from '../../core/errors.ts'
import { QUICK_CHECK_BYTES_MAX } from '../../core/limits.ts'
import type { FileLock } from './file-lock.ts'
import { migrate } from './migrations.ts'
import { asOpenError } from './sqlite-errors.ts'

/**
 * Opens the store's file, repairs what a crash left, and refuses a damaged one with `store_corrupt`.
 * Everything that a crash left in the write-ahead log is moved into the file and synced before anything
 * new is written: after a failed fsync the log can't be trusted, the file can.
 */
export function openFile(file: string, lock: () => FileLock): { db: DatabaseSync; lock: FileLock } {
  mkdirSync(dirname(file), { recursive: true })
  const held = lock()
  try {
    checkLength(file)
    const db = new DatabaseSync(file, { timeout: 5_000 })
    try {
      refuseForeign(db, file)
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
      migrate(db)
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      checkLength(file)
      checkPages(db, file)
      return { db, lock: held }
    } catch (error) {
      db.close()
      throw error
    }
  } catch (error) {
    held.release()
    throw asOpenError(error)
  }
}

/** A database of another program is left as it is. */
function refuseForeign(db: DatabaseSync, file: string): void {
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  if (tables.length === 0 || tables.some(({ name }) => name === 'journal')) return
  throw new TallyError('store_corrupt', `${file} is a database, but no store of this service.`)
}

const HEADER_BYTES = 100
const PAGE_SIZE_AT = 16
const PAGE_COUNT_AT = 28

/** The file must be as long as its header says, unless a log beside it has yet to be applied. */
function checkLength(file: string): void {
  if (!existsSync(file)) return
  const { size } = statSync(file)
  const logBytes = existsSync(`${file}-wal`) ? statSync(`${file}-wal`).size : 0
  if (size === 0 || logBytes > 0) return
  const header = Buffer.alloc(HEADER_BYTES)
  const handle = openSync(file, 'r')
  try {
    readSync(handle, header, 0, HEADER_BYTES, 0)
  } finally {
    closeSync(handle)
  }
  const pageSize = header.readUInt16BE(PAGE_SIZE_AT) === 1 ? 65_536 : header.readUInt16BE(PAGE_SIZE_AT)
  const expected = pageSize * header.readUInt32BE(PAGE_COUNT_AT)
  if (size === expected) return
  throw new TallyError(
    'store_corrupt',
    `${file} has ${size} bytes; its header says ${expected}. It was cut or overwritten. Restore a backup.`,
  )
}

/** Small files are checked whole at every start; large ones by `tally doctor`, since it reads everything. */
function checkPages(db: DatabaseSync, file: string): void {
  if (statSync(file).size > QUICK_CHECK_BYTES_MAX) return
  const [found] = db.prepare('PRAGMA quick_check(1)').all()
  const message = String(found?.quick_check ?? found?.integrity_check ?? 'ok')
  if (message === 'ok') return
  throw new TallyError('store_corrupt', `${file} is damaged (${message}). Restore a backup.`)
}

/** A text kept in the store's own table of facts. */
export function readMeta(db: DatabaseSync, name: string): string | undefined {
  const value = db.prepare('SELECT value FROM meta WHERE name = ?').get(name)?.value
  return typeof value === 'string' ? value : undefined
}

export function writeMeta(db: DatabaseSync, name: string, value: string): void {
  db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)').run(name, value)
}

/** The store's epoch, made when it is first opened. */
export function epochOf(db: DatabaseSync): string {
  const known = readMeta(db, 'epoch')
  if (known !== undefined) return known
  const epoch = randomBytes(4).toString('hex')
  writeMeta(db, 'epoch', epoch)
  return epoch
}

/** Where the process that has the store open serves it, as far as the file tells. */
export function servedAt(file: string): string | undefined {
  try {
    const db = new DatabaseSync(file, { readOnly: true, timeout: 1_000 })
    try {
      return readMeta(db, 'served_at')
    } finally {
      db.close()
    }
  } catch {
    return undefined
  }
}
