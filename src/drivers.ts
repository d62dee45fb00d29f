import { TallyError } from './core/errors.ts'
import type { OpenStore, StoreOptions } from './store/store.ts'

type OpenStoreDriver = (url: string, options: StoreOptions) => Promise<OpenStore>

/** The only table from a URL's scheme to a driver; a driver is loaded when it is first used. */
const STORES: Record<string, () => Promise<OpenStoreDriver>> = {
  sqlite: async () => (await import('./store/sqlite/sqlite-store.ts')).openSqliteStore,
}

/** Opens the store that a URL names, such as `sqlite:./data/tally.db`. */
export async function openStore(url: string, options: StoreOptions): Promise<OpenStore> {
  const scheme = url.slice(0, Math.max(0, url.indexOf(':')))
  const driver = STORES[scheme]
  if (driver === undefined) {
    throw new TallyError('invalid_settings', `There is no store for "${scheme}:".`, {
      at: 'store',
      expected: `one of ${Object.keys(STORES).join(', ')}`,
      got: scheme,
    })
  }
  return (await driver())(url, options)
}
