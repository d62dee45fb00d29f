import { formatInstant } from '../core/rfc3339.ts'
import { openApi } from './access.ts'
import { askJson, pathOf } from './api.ts'
import { momentArgument, zoneArgument } from './arguments.ts'
import { EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'
import { grouped, table } from './terminal.ts'

export interface TopOptions {
  readonly limit: number
  readonly from?: string
  readonly to?: string
  readonly tz: string
}

interface TopAnswer {
  readonly keys: readonly { readonly key: string; readonly value: number }[]
}

/** `tally top`: the keys that counted most, of all time or of a range. Nothing counted is `notFound`. */
export async function runTop(
  { terminal, sources }: Invocation,
  counter: string,
  options: TopOptions,
): Promise<ExitCode> {
  const zone = zoneArgument(options.tz)
  const moment = (flag: string, text: string | undefined): string | undefined =>
    text === undefined ? undefined : formatInstant(momentArgument(flag, text, zone, Date.now()))
  const query = {
    limit: String(options.limit),
    from: moment('--from', options.from),
    to: moment('--to', options.to),
  }
  const api = await openApi(sources, terminal)
  try {
    const path = pathOf('v1', 'counters', counter, 'top')
    const answer = (await askJson(api, { method: 'GET', path, query })) as TopAnswer
    const rows = answer.keys.map(({ key, value }, index) => [String(index + 1), key, grouped(value)])
    terminal.result(answer, () => table(['', 'key', 'value'], rows, ['', 'value']))
    return rows.length === 0 ? EXIT.notFound : EXIT.ok
  } finally {
    await api.close()
  }
}
