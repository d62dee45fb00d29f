import { KEYS_PER_READ_MAX } from '../core/limits.ts'
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
  const found = new Map<string, ReadingAnswer>()
  // In a list the comma ends a key, so keys with one are asked for alone.
  const listed = keys.length === 1 ? [] : keys.filter((key) => !key.includes(','))
  for (let at = 0; at < listed.length; at += KEYS_PER_READ_MAX) {
    const part = listed.slice(at, at + KEYS_PER_READ_MAX).join(',')
    const path = pathOf('v1', 'counters', counter)
    const page = (await askJson(api, { method: 'GET', path, query: { keys: part } })) as {
      readings: ReadingAnswer[]
    }
    for (const reading of page.readings) found.set(reading.key, reading)
  }
  for (const key of keys) {
    if (found.has(key)) continue
    const path = pathOf('v1', 'counters', counter, key)
    found.set(key, (await askJson(api, { method: 'GET', path })) as ReadingAnswer)
  }
  return keys.flatMap((key) => found.get(key) ?? [])
}
