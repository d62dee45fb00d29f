import { DatabaseSync } from 'node:sqlite'
import { TallyError } from '../../core/errors.ts'

export interface FileLock {
  release(): void
}

const SQLITE_BUSY = 5

/**
 * Holds a store for one process: an exclusive SQLite lock on an empty file beside it. The kernel lets go of
 * it when the process ends, however it ends. Throws `store_locked` where another process (or another store
 * of this one) holds it; `ownerUrl` tells where that one can be reached, if it serves.
 */
export function lockStore(file: string, ownerUrl: () => string | undefined): FileLock {
  const db = new DatabaseSync(`${file}-lock`, { timeout: 0 })
  try {
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if (!(error instanceof Error) || !('errcode' in error) || error.errcode !== SQLITE_BUSY) throw error
    const url = ownerUrl()
    throw new TallyError(
      'store_locked',
      `Another process has ${file} open${url === undefined ? '' : ` and serves it at ${url}`}. Stop it, or talk to it.`,
      url === undefined ? {} : { at: url },
    )
  }
  return { release: () => db.close() }
}
