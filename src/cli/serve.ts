import type { Service } from '../compose.ts'
import { withoutPassword } from '../settings/parsers.ts'
import type { Settings } from '../settings/settings.ts'
import { commandSettings } from './access.ts'
import { EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'
import type { Terminal } from './terminal.ts'

/** Exit codes of a shell for a process that a signal ended: 128 and the signal's number. */
const SIGNAL_EXIT = { SIGINT: 130, SIGTERM: 143 } as const

/**
 * `tally serve`: runs until SIGTERM or SIGINT, then stops gracefully: what was acknowledged is durable, and
 * what was taken in is answered. A second signal ends the process at once.
 */
export async function runServe({ terminal, sources }: Invocation): Promise<ExitCode> {
  const { settings } = commandSettings(sources)
  const [{ composeService }, { keysRequired }] = await Promise.all([
    import('../compose.ts'),
    import('../server/origin.ts'),
  ])
  const { createServiceLog } = await import('./service-log.ts')
  const stopped = signalled()
  const log = createServiceLog(settings.logLevel, terminal.streams.stderr)
  const service = await composeService(settings, { log })
  try {
    const url = await service.listen()
    const needsKeys = keysRequired(settings)
    const firstKey = needsKeys ? await firstAdminKey(service) : undefined
    greet(terminal, { url, settings, needsKeys, firstKey })
    await stopped
    if (!terminal.isJson && terminal.streams.stderr.isTTY)
      terminal.note('Stopping; press again to stop at once.')
  } finally {
    await service.stop()
  }
  return EXIT.ok
}

/** Resolves with the first signal; the second one ends the process. */
function signalled(): Promise<void> {
  return new Promise((resolve) => {
    let isStopping = false
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (isStopping) process.exit(SIGNAL_EXIT[signal])
        isStopping = true
        resolve()
      })
    }
  })
}

/** Where nobody could get in yet: a key that may do everything. Its secret is kept nowhere. */
async function firstAdminKey({ keys }: Service): Promise<string | undefined> {
  if (keys.list().length > 0) return undefined
  const { key } = await keys.create('first', ['admin'])
  return key
}

function greet(
  terminal: Terminal,
  about: { url: string; settings: Settings; needsKeys: boolean; firstKey: string | undefined },
): void {
  const { url, settings, needsKeys, firstKey } = about
  if (terminal.isJson) {
    terminal.print(JSON.stringify({ url, ...(firstKey === undefined ? {} : { adminKey: firstKey }) }))
    return
  }
  const counter = [...settings.counters.keys()][0] ?? settings.statsCounter
  const header = needsKeys ? ` -H 'Authorization: Bearer ${firstKey ?? '$TALLY_API_KEY'}'` : ''
  terminal.print(`Tally listens on ${url} and counts in ${withoutPassword(settings.store)}`)
  if (firstKey !== undefined) {
    terminal.print(
      `\nThis host needs API keys. The first one may do everything; it is shown only now:\n\n  ${firstKey}`,
    )
  }
  terminal.print(
    `\nCount one:\n\n  curl -X POST${header} ${url}/v1/counters/${counter}/hello\n\nMore: ${url}/docs`,
  )
}
