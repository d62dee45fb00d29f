import { TallyError } from './core/errors.ts'
import type { OpenStore, StoreOptions } from './store/store.ts'

interface StoreDriver {
  open(url: string, options: StoreOptions): Promise<OpenStore>
  /** Puts a checked copy of a backup in the store's place; resolves with what the old store is kept as, if any. */
  restore(backup: string, url: string, options: StoreOptions): Promise<string | undefined>
}

/** The only table from a URL's scheme to a driver; a driver is loaded when it is first used. */
const STORES: Record<string, StoreDriver> = {
  sqlite: {
    open: async (url, options) =>
      (await import('./store/sqlite/sqlite-store.ts')).openSqliteStore(url, options),
    restore: async (backup, url, options) =>
      (await import('./store/sqlite/restore-file.ts')).restoreSqliteFile(backup, url, options),
  },
}

/** Opens the store that a URL names, such as `sqlite:./data/tally.db`. */
export async function openStore(url: string, options: StoreOptions): Promise<OpenStore> {
  return driverOf(url).open(url, options)
}

/**
 * Puts a checked copy of a backup in the place of the store that a URL names, while nobody has it open. Resolves
 * with the name under which the old store is kept, if there was one. Throws what the driver's `open` throws.
 */
export async function restoreStore(
  backup: string,
  url: string,
  options: StoreOptions,
): Promise<string | undefined> {
  return driverOf(url).restore(backup, url, options)
}

function driverOf(url: string): StoreDriver {
  const scheme = url.slice(0, Math.max(0, url.indexOf(':')))
  const driver = STORES[scheme]
  if (driver === undefined) {
    throw new TallyError('invalid_settings', `There is no store for "${scheme}:".`, {
      at: 'store',
      expected: `one of ${Object.keys(STORES).join(', ')}`,
      got: scheme,
    })
  }
  return driver
}
