import path from 'node:path'
import {
  load,
  runReference,
  type Server,
  startBare,
  startTally,
  temporaryDir,
  untilQuiet,
} from './processes.ts'
import type { ParseResult } from './reference.ts'
import { median, perSecond, type RowResult } from './report.ts'
import type { RequestShape } from './requests.ts'
import { calmest, type Measured, measure, type Pace } from './rounds.ts'

/** A row whose figure is a rate. */
export interface RateRow {
  readonly row: string
  readonly title: string
  readonly shape: RequestShape
  readonly connections: number
  /** Sent before anything is measured, so that readers find something to read. */
  readonly fill?: RequestShape
  readonly required: number
  readonly aim: number
}

/** Every round starts with this share of its own length, unmeasured, while connections and caches settle. */
const ROUND_WARMUP_SHARE = 0.2
/** Below this share of its core a server was not the limit: the load was, or somebody else had the core. */
const BUSY_MIN = 0.9
const FILL_MS = 1_000
const FILL_CONNECTIONS = 8

/** Rounds of the bare server and Tally, in turns; the median of the rounds' own ratios. */
export async function compareWithBare(
  row: RateRow,
  pace: Pace,
): Promise<{ result: RowResult; perS: number }> {
  const { dir, remove } = temporaryDir()
  const servers: Server[] = []
  try {
    const bare = await startBare()
    servers.push(bare)
    const tally = await startTally(path.join(dir, 'tally.db'))
    servers.push(tally)
    await prepare(tally, row, pace)
    await warmUp(bare, row, pace)
    await untilQuiet(tally.pid)
    const { rounds, disturbed } = await calmest(pace, async () => {
      const ofBare = await measureRow(bare, row, pace)
      const ofTally = await measureRow(tally, row, pace)
      return { bare: ofBare, tally: ofTally, others: Math.max(ofBare.others, ofTally.others) }
    })
    const bares = rounds.map((each) => each.bare)
    const tallies = rounds.map((each) => each.tally)
    const perS = median(tallies.map((each) => each.perS))
    const result: RowResult = {
      ...headOf(row),
      reference: perSecond(median(bares.map((each) => each.perS))),
      tally: perSecond(perS),
      ratio: median(rounds.map((each) => each.tally.perS / each.bare.perS)),
      cpuRatio: median(rounds.map((each) => each.bare.cpuUs / each.tally.cpuUs)),
      disturbed,
      notes: [...aboutServer('bare', bares), ...aboutServer('tally', tallies)],
    }
    return { result, perS }
  } finally {
    for (const server of servers) await server.stop()
    remove()
  }
}

/** Rounds of JSON.parse with a Map and of Tally, over the same bytes. */
export async function compareWithParse(row: RateRow, pace: Pace): Promise<RowResult> {
  const { dir, remove } = temporaryDir()
  const tally = await startTally(path.join(dir, 'tally.db'))
  try {
    await prepare(tally, row, pace)
    await untilQuiet(tally.pid)
    const { rounds, disturbed } = await calmest(pace, async () => {
      const plan = { shape: row.shape, durationMs: pace.roundMs / 2 }
      const parse = await runReference<ParseResult>('parse', plan)
      const ofTally = await measureRow(tally, row, pace)
      return { parse, perS: parse.events / parse.seconds, tally: ofTally, others: ofTally.others }
    })
    const tallies = rounds.map((each) => each.tally)
    const parseCpuUs = median(rounds.map((each) => each.parse.cpuUsPerEvent))
    return {
      ...headOf(row),
      reference: perSecond(median(rounds.map((each) => each.perS))),
      tally: perSecond(median(tallies.map((each) => each.perS))),
      ratio: median(rounds.map((each) => each.tally.perS / each.perS)),
      cpuRatio: median(rounds.map((each) => each.parse.cpuUsPerEvent / each.tally.cpuUs)),
      disturbed,
      notes: [`JSON.parse: ${parseCpuUs.toFixed(2)} µs CPU each`, ...aboutServer('tally', tallies)],
    }
  } finally {
    await tally.stop()
    remove()
  }
}

async function prepare(tally: Server, row: RateRow, pace: Pace): Promise<void> {
  if (row.fill !== undefined) {
    const plan = { shape: row.fill, connections: FILL_CONNECTIONS, warmupMs: 0, durationMs: FILL_MS }
    await load({ ...plan, port: tally.port })
  }
  await warmUp(tally, row, pace)
}

async function warmUp({ port }: Server, { shape, connections }: RateRow, pace: Pace): Promise<void> {
  await load({ port, shape, connections, warmupMs: 0, durationMs: pace.warmupMs })
}

function measureRow(server: Server, { shape, connections }: RateRow, { roundMs }: Pace): Promise<Measured> {
  return measure(server, { shape, connections, warmupMs: roundMs * ROUND_WARMUP_SHARE, durationMs: roundMs })
}

function headOf({ row, title, required, aim }: RateRow) {
  return { row, title, required, aim, better: 'higher' as const }
}

function aboutServer(name: string, rounds: readonly Measured[]): string[] {
  const cpuUs = median(rounds.map((each) => each.cpuUs))
  const p99Ms = median(rounds.map((each) => each.load.latencyUs.p99)) / 1000
  const busy = median(rounds.map((each) => each.busy))
  const line = `${name}: ${cpuUs.toFixed(2)} µs CPU each, p99 ${p99Ms.toFixed(2)} ms, ${percent(busy)} of its core`
  const isLimit = !(busy < BUSY_MIN)
  return isLimit
    ? [line]
    : [line, `${name} had less than ${percent(BUSY_MIN)} of its core: it was not the limit of this run`]
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}
