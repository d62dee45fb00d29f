import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { TallyError } from '../../core/errors.ts'
import type { StoreOptions } from '../store.ts'
import { lockStore } from './file-lock.ts'
import { servedAt } from './open-file.ts'
import { openSqliteStore } from './sqlite-store.ts'

/**
 * Puts a copy of a backup in the place of a store that nobody has open. The copy is checked whole first;
 * the backup stays as it is. A store that stands there is kept under another name, which is the answer.
 * Durable when it resolves; cut off before, either the old store or the new one is there, or only the
 * renamed old one.
 *
 * The restored store gets an epoch of its own: positions that were issued after the backup was made are
 * unknown to it, instead of meaning other events.
 *
 * Throws `store_locked`, `store_corrupt`, `store_too_new`.
 */
export async function restoreSqliteFile(
  backup: string,
  url: string,
  options: StoreOptions,
): Promise<string | undefined> {
  const file = resolve(url.replace(/^sqlite:/, ''))
  mkdirSync(dirname(file), { recursive: true })
  const lock = lockStore(file, () => servedAt(file))
  const copy = `${file}.restoring`
  try {
    removeStore(copy)
    copyFileSync(backup, copy, constants.COPYFILE_FICLONE)
    await checkWhole(copy, backup, options)
    renewEpoch(copy)
    syncPath(copy)
    const kept = existsSync(file) ? keepAside(file, options.now()) : undefined
    renameSync(copy, file)
    syncPath(dirname(file))
    return kept
  } finally {
    removeStore(copy)
    lock.release()
  }
}

async function checkWhole(copy: string, backup: string, options: StoreOptions): Promise<void> {
  const opened = await openSqliteStore(`sqlite:${copy}`, options)
  try {
    const found = await opened.upkeep.check()
    if (found.length === 0) return
    throw new TallyError('store_corrupt', `${backup} is damaged: ${found.join('; ')}`)
  } finally {
    await opened.close()
  }
}

function renewEpoch(file: string): void {
  const db = new DatabaseSync(file)
  try {
    db.exec("DELETE FROM meta WHERE name IN ('epoch', 'served_at'); PRAGMA wal_checkpoint(TRUNCATE)")
  } finally {
    db.close()
  }
}

/** The write-ahead log belongs to its file: beside another one it would damage it. */
function keepAside(file: string, nowMs: number): string {
  const stamp = new Date(nowMs).toISOString().replace(/[:.]/g, '-')
  const kept = `${file}.before-restore-${stamp}`
  if (existsSync(`${file}-wal`)) renameSync(`${file}-wal`, `${kept}-wal`)
  rmSync(`${file}-shm`, { force: true })
  renameSync(file, kept)
  return kept
}

function removeStore(file: string): void {
  for (const suffix of ['', '-wal', '-shm', '-lock']) rmSync(`${file}${suffix}`, { force: true })
}

function syncPath(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
