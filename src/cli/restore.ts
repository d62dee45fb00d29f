import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { restoreStore } from '../drivers.ts'
import { commandSettings } from './access.ts'
import { CommandError, EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'
import { storeFile, storeOptions } from './store-file.ts'

export interface RestoreOptions {
  readonly force?: boolean
}

/**
 * `tally restore`: puts a checked copy of a backup in the place of the store. Refuses while a process has
 * the store open, and refuses to replace a store without `--force`; the replaced one is kept beside it.
 */
export async function runRestore(
  { terminal, sources }: Invocation,
  backup: string,
  { force = false }: RestoreOptions,
): Promise<ExitCode> {
  const { settings, client } = commandSettings(sources)
  if (client.url !== undefined) {
    throw new CommandError(
      EXIT.usage,
      '--url: a backup is restored where the store is, while no service runs',
    )
  }
  const source = resolve(backup)
  const target = storeFile(settings)
  if (!existsSync(source)) throw new CommandError(EXIT.notFound, `there is no file ${backup}`)
  if (source === target) throw new CommandError(EXIT.usage, `${backup} is the store itself`)
  if (existsSync(target) && !force) {
    throw new CommandError(
      EXIT.failed,
      `there is a store at ${target}; --force replaces it and keeps it beside`,
    )
  }
  const kept = await restoreStore(source, settings.store, storeOptions(settings))
  terminal.result({ store: target, ...(kept === undefined ? {} : { kept }) }, () => {
    const aside = kept === undefined ? '' : `\nThe store that was there is now ${kept}`
    return `The backup was checked and is now the store ${target}${aside}`
  })
  return EXIT.ok
}
