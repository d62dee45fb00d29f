import { TallyError } from '../../core/errors.ts'

// Primary result codes of SQLite: https://sqlite.org/rescode.html
const SQLITE_ERROR = 1
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_NOTADB = 26
// Extended: growing the shared-memory file failed, which a full disk causes too.
const SQLITE_IOERR_SHMSIZE = 4874

/** The store's error for a failed call of SQLite. Anything but a full disk ends writing for good. */
export function storeError(message: string, errcode: number): TallyError {
  const primary = errcode & 0xff
  if (primary === SQLITE_FULL || errcode === SQLITE_IOERR_SHMSIZE) {
    return new TallyError(
      'store_full',
      'The disk of the store is full; nothing of this was counted. Free some space.',
      {
        retryAfterS: 5,
      },
    )
  }
  if (primary === SQLITE_CORRUPT || primary === SQLITE_NOTADB) {
    return new TallyError('store_corrupt', `The store file is damaged (${message}). Restore a backup.`)
  }
  return new TallyError(
    'store_failed',
    `The store failed (${message}, code ${errcode}). Restart the service.`,
  )
}

/** The store's error for anything that was thrown while calling SQLite. */
export function asStoreError(error: unknown): TallyError {
  if (error instanceof TallyError) return error
  const errcode = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0
  return storeError(error instanceof Error ? error.message : String(error), errcode)
}

/** The same while a store is opened, where a table or column that is not there means a damaged file. */
export function asOpenError(error: unknown): TallyError {
  if (!(error instanceof TallyError) && error instanceof Error && 'errcode' in error) {
    if (Number(error.errcode) === SQLITE_ERROR) {
      return new TallyError(
        'store_corrupt',
        `The store file is damaged (${error.message}). Restore a backup.`,
      )
    }
  }
  return asStoreError(error)
}
