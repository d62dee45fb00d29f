import { openStore } from '../../src/drivers.ts'
import type { OpenStore, Resolution, StoreOptions } from '../../src/store/store.ts'
import { HttpClient } from './http-client.ts'
import type { Oracle, Ranges, Receipt, SentEvent } from './oracle.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const RESEND_SIZE = 2_000
const KEYS_PER_READ = 500
const POLL_MS = 20

export interface LedgerLine {
  readonly stream: string
  readonly received: number
  readonly counted: number
  readonly duplicate: number
  readonly rejected: number
  readonly pending: number
}

/** The lines of `GET /v1/ledger`. */
export async function readLedger(url: string, client: HttpClient): Promise<LedgerLine[]> {
  const { streams } = await client.json<{ streams: LedgerLine[] }>(`${url}/v1/ledger`)
  return streams
}

function imbalance({ received, counted, duplicate, rejected, pending }: LedgerLine): number {
  return received - counted - duplicate - rejected - pending
}

/** Reads the ledger again and again while `target` answers, and gathers every line that doesn't add up. */
export class LedgerWatch {
  readonly violations: string[] = []
  polls = 0
  private readonly client = new HttpClient()
  private isStopping = false
  private readonly running: Promise<void>

  constructor(target: () => string | undefined) {
    this.running = this.run(target)
  }

  async stop(): Promise<void> {
    this.isStopping = true
    await this.running
    this.client.close()
  }

  private async run(target: () => string | undefined): Promise<void> {
    while (!this.isStopping) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      const url = target()
      if (url === undefined) continue
      const result = await this.client.send(`${url}/v1/ledger`)
      if (result.kind === 'lost') continue
      if (result.status !== 200) {
        if (result.status !== 503)
          this.violations.push(`the ledger answered ${result.status}: ${result.body}`)
        continue
      }
      this.polls++
      for (const line of (JSON.parse(result.body) as { streams: LedgerLine[] }).streams) {
        if (imbalance(line) !== 0)
          this.violations.push(`the ledger does not balance: ${JSON.stringify(line)}`)
      }
    }
  }
}

/**
 * The end of a test, on a server that nobody else talks to. Every acknowledged id is sent again and must be a
 * duplicate; every unknown one is sent again and must now be counted, once. After that each key must hold
 * exactly as many as it has ids, the ledger must balance, and the sum of all values be what it calls counted.
 * Returns everything that is not so.
 */
export async function verifyRunning(url: string, oracle: Oracle): Promise<string[]> {
  const client = new HttpClient()
  try {
    const found = [...oracle.violations]
    // First as it stands: no acknowledged one missing, none too many.
    found.push(...outside(await readValues(url, oracle, client), oracle.ranges()))
    found.push(...(await resend(url, oracle, { client, isAcknowledged: true })))
    found.push(...(await resend(url, oracle, { client, isAcknowledged: false })))
    const values = await readValues(url, oracle, client)
    found.push(...outside(values, oracle.ranges()))
    const lines = await readLedger(url, client)
    found.push(...unbalanced(lines, values))
    return found.slice(0, 20)
  } finally {
    client.close()
  }
}

async function resend(
  url: string,
  oracle: Oracle,
  { client, isAcknowledged }: { client: HttpClient; isAcknowledged: boolean },
): Promise<string[]> {
  const found: string[] = []
  const events = oracle.events(isAcknowledged)
  for (let at = 0; at < events.length; at += RESEND_SIZE) {
    const part = events.slice(at, at + RESEND_SIZE)
    const expected = oracle.expect(part)
    const receipt = await client.json<Receipt>(`${url}/v1/events`, { body: JSON.stringify(part) })
    oracle.acknowledged(part, expected, receipt)
    if (isAcknowledged && receipt.counted > 0) {
      found.push(`${receipt.counted} acknowledged events were lost: sent again, they were counted again`)
    }
  }
  return found
}

type Values = Map<string, Map<string, number>>

async function readValues(url: string, oracle: Oracle, client: HttpClient): Promise<Values> {
  const values: Values = new Map()
  for (const [counter, keys] of oracle.ranges()) {
    const found = new Map<string, number>()
    values.set(counter, found)
    const names = [...keys.keys()]
    for (let at = 0; at < names.length; at += KEYS_PER_READ) {
      const asked = names.slice(at, at + KEYS_PER_READ).join(',')
      const page = await client.json<{ readings: { key: string; value: number }[] }>(
        `${url}/v1/counters/${counter}?keys=${encodeURIComponent(asked)}`,
      )
      for (const { key, value } of page.readings) found.set(key, value)
    }
  }
  return values
}

/** Values outside of what was acknowledged and sent. */
function outside(values: Values, ranges: Ranges): string[] {
  const found: string[] = []
  for (const [counter, keys] of ranges) {
    for (const [key, { least, most }] of keys) {
      const value = values.get(counter)?.get(key) ?? 0
      if (value < least) found.push(`${counter}/${key}: ${value}, but ${least} were acknowledged`)
      if (value > most) found.push(`${counter}/${key}: ${value}, but only ${most} were sent`)
    }
  }
  return found
}

function unbalanced(lines: readonly LedgerLine[], values: Values): string[] {
  const found: string[] = []
  for (const line of lines) {
    if (imbalance(line) !== 0) found.push(`the ledger does not balance: ${JSON.stringify(line)}`)
  }
  const counted = lines.reduce((sum, line) => sum + line.counted, 0)
  let total = 0
  for (const keys of values.values()) for (const value of keys.values()) total += value
  if (counted !== total) found.push(`the ledger counted ${counted}, the values sum to ${total}`)
  return found
}

/** Opens a store file in this process, as the service would. */
export function openFile(file: string, options: Partial<StoreOptions> = {}): Promise<OpenStore> {
  return openStore(`sqlite:${file}`, {
    seenRetentionMs: 7 * DAY_MS,
    minuteRetentionMs: Number.POSITIVE_INFINITY,
    now: Date.now,
    keepsSeries: () => true,
    log: () => undefined,
    ...options,
  })
}

/** What an open store holds, without going through the service. */
export interface Contents {
  readonly values: Values
  /** Per counter and resolution: the sum of each key's buckets. */
  readonly series: Map<string, Map<string, number>>
  readonly ledger: LedgerLine[]
}

const PAGE = 10_000
const FROM_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS - 7 * DAY_MS
const SPAN = { fromMs: FROM_MS, toMs: FROM_MS + 12 * DAY_MS }

export async function readContents(opened: OpenStore, counters: readonly string[]): Promise<Contents> {
  const values: Values = new Map()
  const series = new Map<string, Map<string, number>>()
  for (const counter of counters) {
    const { readings } = await opened.store.readings(counter, { after: undefined, limit: PAGE })
    values.set(counter, new Map(readings.map(({ key, value }) => [key, value])))
    for (const resolution of ['minute', 'hour', 'day'] satisfies Resolution[]) {
      const ranked = await opened.store.top(counter, { limit: PAGE, spans: [{ resolution, ...SPAN }] })
      series.set(`${counter} by ${resolution}`, new Map(ranked.map(({ key, value }) => [key, value])))
    }
  }
  return { values, series, ledger: await opened.store.ledger() }
}

/**
 * Opens the file that a stopped or dead server left: values within what was sent and acknowledged, every
 * resolution of the series equal to the values, the ledger balanced, the store's own check content.
 * `acknowledged` stands for what the clients know, where the file is older than that.
 */
export async function verifyFile(
  file: string,
  oracle: Oracle,
  acknowledged?: readonly SentEvent[],
): Promise<string[]> {
  const opened = await openFile(file)
  try {
    const ranges = oracle.ranges(acknowledged)
    const { values, series, ledger } = await readContents(opened, [...ranges.keys()])
    const found = [...outside(values, ranges), ...unbalanced(ledger, values)]
    for (const [counter, keys] of values) {
      for (const resolution of ['minute', 'hour', 'day']) {
        const sums = series.get(`${counter} by ${resolution}`)
        for (const [key, value] of keys) {
          const sum = sums?.get(key) ?? 0
          if (sum !== value) found.push(`${counter}/${key}: value ${value}, sum by ${resolution} ${sum}`)
        }
      }
    }
    while (opened.upkeep.health().gauges.unfolded_entries !== 0) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
    found.push(...(await opened.upkeep.check()))
    return found.slice(0, 20)
  } finally {
    await opened.close()
  }
}

/** Sends events straight to an open store, whose server is gone. */
export async function applyTo(opened: OpenStore, events: readonly SentEvent[]): Promise<Receipt> {
  const { outcomes } = await opened.store.apply({
    stream: 'events',
    rejected: 0,
    submissions: [
      {
        events: events.map(({ counter, key, id, time }) => ({
          counter,
          key,
          id,
          delta: 1,
          timeMs: time === undefined ? Date.now() : Date.parse(time),
        })),
      },
    ],
  })
  const [outcome] = outcomes
  if (outcome?.kind !== 'counted') throw new Error(`the store answered ${JSON.stringify(outcome)}`)
  return outcome
}
