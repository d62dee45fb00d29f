import { SCOPES } from '../core/access.ts'
import { openApi } from './access.ts'
import { askJson, pathOf } from './api.ts'
import { CommandError, EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'
import { table } from './terminal.ts'

export interface KeyCreateOptions {
  readonly scopes: readonly string[]
}

interface KeyAnswer {
  readonly id: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly createdAt: string
}

const KEYS_PATH = '/v1/keys'

/** `tally key create`: shows the new key's secret, once. */
export async function runKeyCreate(
  { terminal, sources }: Invocation,
  name: string,
  { scopes }: KeyCreateOptions,
): Promise<ExitCode> {
  const unknown = scopes.filter((scope) => !(SCOPES as readonly string[]).includes(scope))
  if (unknown.length > 0) {
    throw new CommandError(
      EXIT.usage,
      `--scopes: expected some of ${SCOPES.join(', ')}, got ${unknown.join(', ')}`,
    )
  }
  const api = await openApi(sources, terminal)
  try {
    const body = JSON.stringify({ name, scopes })
    const created = (await askJson(api, { method: 'POST', path: KEYS_PATH, body })) as KeyAnswer & {
      key: string
    }
    if (!terminal.isJson)
      terminal.note(`Key ${created.id} may ${created.scopes.join(', ')}. It is shown only now:`)
    terminal.result(created, () => created.key)
    return EXIT.ok
  } finally {
    await api.close()
  }
}

/** `tally key list`. */
export async function runKeyList({ terminal, sources }: Invocation): Promise<ExitCode> {
  const api = await openApi(sources, terminal)
  try {
    const { keys } = (await askJson(api, { method: 'GET', path: KEYS_PATH })) as { keys: KeyAnswer[] }
    const rows = keys.map(({ id, name, scopes, createdAt }) => [id, name, scopes.join(','), createdAt])
    terminal.result({ keys }, () =>
      rows.length === 0 ? 'There are no keys.' : table(['id', 'name', 'scopes', 'created'], rows),
    )
    return EXIT.ok
  } finally {
    await api.close()
  }
}

/** `tally key revoke`: resolves when no request gets in with the key. `notFound` if there is none. */
export async function runKeyRevoke({ terminal, sources }: Invocation, id: string): Promise<ExitCode> {
  const api = await openApi(sources, terminal)
  try {
    await askJson(api, { method: 'DELETE', path: `${KEYS_PATH}${pathOf(id)}` })
    terminal.result({ id, revoked: true }, () => `Key ${id} is revoked.`)
    return EXIT.ok
  } finally {
    await api.close()
  }
}
