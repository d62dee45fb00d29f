import { HEADER_BYTES_MAX, KEYS_PER_READ_MAX } from '../core/limits.ts'
import { openApi } from './access.ts'
import { type Api, askJson, pathOf } from './api.ts'
import { EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'
import { table } from './terminal.ts'

interface ReadingAnswer {
  readonly key: string
  readonly value: number
  readonly version: number
}

/** `tally get`: the values of keys, in their order. Keys that never counted read 0. */
export async function runGet(
  { terminal, sources }: Invocation,
  counter: string,
  keys: readonly string[],
): Promise<ExitCode> {
  const api = await openApi(sources, terminal)
  try {
    const readings = await readAll(api, counter, keys)
    const only = readings.length === 1 ? readings[0] : undefined
    terminal.result(readings, () =>
      only === undefined
        ? table(
            ['key', 'value'],
            readings.map(({ key, value }) => [key, String(value)]),
            ['value'],
          )
        : String(only.value),
    )
    return EXIT.ok
  } finally {
    await api.close()
  }
}

async function readAll(api: Api, counter: string, keys: readonly string[]): Promise<ReadingAnswer[]> {
  const path = pathOf('v1', 'counters', counter)
  const readings: ReadingAnswer[] = []
  for (const part of requestsOf(keys)) {
    const page = (await askJson(api, { method: 'GET', path, query: { key: part } })) as {
      readings: ReadingAnswer[]
    }
    readings.push(...page.readings)
  }
  return readings
}

/** Keys for one request after the other: as many as may be asked for, and as fit into an address. */
function requestsOf(keys: readonly string[]): string[][] {
  const requests: string[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const key of keys) {
    const keyBytes = encodeURIComponent(key).length + '&key='.length
    const last = requests.at(-1)
    if (last !== undefined && bytes + keyBytes <= HEADER_BYTES_MAX / 2 && last.length < KEYS_PER_READ_MAX) {
      last.push(key)
      bytes += keyBytes
    } else {
      requests.push([key])
      bytes = keyBytes
    }
  }
  return requests
}
