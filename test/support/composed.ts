import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ComposeOptions, composeService, type Service } from '../../src/compose.ts'
import { loadSettings, type Settings } from '../../src/settings/settings.ts'

export interface Composed {
  readonly service: Service
  stop(): Promise<void>
}

/** The whole service on a store of its own in a temporary folder; it listens only if it is told to. */
export async function startComposed(
  settings: Partial<Settings> = {},
  options: ComposeOptions = {},
): Promise<Composed> {
  const folder = mkdtempSync(join(tmpdir(), 'tally-composed-'))
  const defaults = loadSettings({ env: {}, flags: {} })
  const service = await composeService(
    { ...defaults, store: `sqlite:${join(folder, 'tally.db')}`, logLevel: 'silent', ...settings },
    options,
  )
  return {
    service,
    async stop() {
      await service.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
