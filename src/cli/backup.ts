import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'
import { openStore } from '../drivers.ts'
import type { ClientSettings, Settings } from '../settings/settings.ts'
import { commandSettings, overHttp, runningAt } from './access.ts'
import { askJson } from './api.ts'
import { CommandError, EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'
import { storeFile, storeOptions } from './store-file.ts'

export interface BackupOptions {
  readonly force?: boolean
}

/**
 * `tally backup`: a consistent copy of the store, durable when it ends. A running service is asked to write
 * it, so intake goes on; a service that `--url` names writes it on its own machine.
 */
export async function runBackup(
  { terminal, sources }: Invocation,
  file: string,
  { force = false }: BackupOptions,
): Promise<ExitCode> {
  const { settings, client } = commandSettings(sources)
  const { url, apiKey } = client
  if (url !== undefined) {
    if (!isAbsolute(file)) {
      throw new CommandError(
        EXIT.usage,
        'with --url: expected an absolute path on the machine of the service',
      )
    }
    await askToWrite(url, apiKey, file)
    terminal.result({ file, url }, () => `The service at ${url} wrote ${file}`)
    return EXIT.ok
  }
  const target = resolve(file)
  if (existsSync(target) && !force) {
    throw new CommandError(EXIT.failed, `${file} exists; take another name, or --force to replace it`)
  }
  await replacing(target, (part) => write(settings, client, part))
  terminal.result({ file: target }, () => `The backup is ${target}`)
  return EXIT.ok
}

async function write(settings: Settings, { apiKey }: ClientSettings, target: string): Promise<void> {
  const source = storeFile(settings)
  if (!existsSync(source)) throw new CommandError(EXIT.notFound, `there is no store at ${source}`)
  const opened = await openStore(settings.store, storeOptions(settings)).catch((error: unknown) => {
    const url = runningAt(error)
    if (url === undefined) throw error
    return url
  })
  if (typeof opened === 'string') return askToWrite(opened, apiKey, target)
  try {
    await opened.upkeep.backup(target)
  } finally {
    await opened.close()
  }
}

async function askToWrite(url: string, apiKey: string | undefined, file: string): Promise<void> {
  const body = JSON.stringify({ file })
  await askJson(overHttp(url, apiKey), { method: 'POST', path: '/v1/admin/backup', body })
}

/** Writes beside the target and puts it in place when it is whole: an older backup stays until then. */
async function replacing(target: string, write: (part: string) => Promise<void>): Promise<void> {
  const part = `${target}.part-${process.pid}`
  try {
    await write(part)
    renameSync(part, target)
  } catch (error) {
    rmSync(part, { force: true })
    throw error
  }
  const folder = openSync(dirname(target), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
