import { resolve } from 'node:path'
import type { Settings } from '../settings/settings.ts'
import type { StoreOptions } from '../store/store.ts'

/** The absolute path of the embedded store's file. */
export function storeFile(settings: Settings): string {
  return resolve(settings.store.replace(/^sqlite:/, ''))
}

/** How commands open the store when they need it and no service. */
export function storeOptions(settings: Settings, log: StoreOptions['log'] = () => undefined): StoreOptions {
  return {
    seenRetentionMs: settings.seenRetentionMs,
    minuteRetentionMs: settings.minuteRetentionMs,
    now: Date.now,
    keepsSeries: (counter) => settings.counters.get(counter)?.series === 'minute',
    log,
  }
}
