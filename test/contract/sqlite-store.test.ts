import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../src/drivers.ts'
import type { OpenStore, StoreOptions } from '../../src/store/store.ts'
import { type StoreUnderTest, storeContract } from './store.ts'

function sqliteUnderTest(): StoreUnderTest {
  const folders: string[] = []
  const open = new Map<OpenStore, { file: string; options: StoreOptions }>()

  const openAt = async (file: string, options: StoreOptions): Promise<OpenStore> => {
    const opened = await openStore(`sqlite:${file}`, options)
    open.set(opened, { file, options })
    return opened
  }
  const folder = (): string => {
    const made = mkdtempSync(join(tmpdir(), 'tally-store-'))
    folders.push(made)
    return made
  }
  const close = async (opened: OpenStore): Promise<{ file: string; options: StoreOptions }> => {
    const known = open.get(opened)
    if (known === undefined) throw new Error('this store was not opened here')
    open.delete(opened)
    await opened.close()
    return known
  }

  return {
    open: (options = {}) =>
      openAt(join(folder(), 'tally.db'), {
        seenRetentionMs: 7 * 24 * 3_600_000,
        minuteRetentionMs: Number.POSITIVE_INFINITY,
        now: Date.now,
        keepsSeries: (counter) => counter !== 'plain',
        log: (name, fields) => {
          throw new Error(`${name} ${JSON.stringify(fields)}`)
        },
        ...options,
      }),
    reopen: async (opened) => {
      const { file, options } = await close(opened)
      return openAt(file, options)
    },
    // What a killed process leaves: the files as they are at this moment, fold under way or not.
    crash: async (opened) => {
      const known = open.get(opened)
      if (known === undefined) throw new Error('this store was not opened here')
      const left = join(folder(), 'tally.db')
      for (const suffix of ['', '-wal']) cpSync(`${known.file}${suffix}`, `${left}${suffix}`)
      await close(opened)
      return openAt(left, known.options)
    },
    settle: async (opened) => {
      while (opened.upkeep.health().gauges.unfolded_entries !== 0) await sleep(20)
    },
    cleanUp: async () => {
      for (const opened of [...open.keys()]) await close(opened)
      for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true })
    },
  }
}

storeContract('sqlite', sqliteUnderTest())
