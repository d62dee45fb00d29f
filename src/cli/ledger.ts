import type { LedgerLine } from '../core/batch.ts'
import { openApi } from './access.ts'
import { type Api, askJson } from './api.ts'
import { EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'
import { grouped, table } from './terminal.ts'

/** `tally ledger`: what became of every event. Exits with `failed` if a stream does not add up. */
export async function runLedger({ terminal, sources }: Invocation): Promise<ExitCode> {
  const api = await openApi(sources, terminal)
  try {
    const lines = await readLedger(api)
    const heads = ['stream', 'received', 'counted', 'duplicate', 'rejected', 'pending']
    const rows = lines.map((line) => [
      line.stream,
      ...[line.received, line.counted, line.duplicate, line.rejected, line.pending].map(grouped),
    ])
    const wrong = lines.filter((line) => !balances(line)).map(({ stream }) => stream)
    const verdict =
      wrong.length === 0
        ? 'received = counted + duplicate + rejected + pending, for every stream'
        : `does NOT add up: ${wrong.join(', ')}`
    terminal.result(
      { streams: lines, balanced: wrong.length === 0 },
      () => `${table(heads, rows, heads.slice(1))}\n${verdict}`,
    )
    return wrong.length === 0 ? EXIT.ok : EXIT.failed
  } finally {
    await api.close()
  }
}

/** The lines of the ledger. */
export async function readLedger(api: Api): Promise<readonly LedgerLine[]> {
  const answer = (await askJson(api, { method: 'GET', path: '/v1/ledger' })) as { streams: LedgerLine[] }
  return answer.streams
}

/** Whether a line adds up: the law of conservation. */
export function balances({ received, counted, duplicate, rejected, pending }: LedgerLine): boolean {
  return received === counted + duplicate + rejected + pending
}
