import path from 'node:path'
import type { LoadResult } from './load.ts'
import {
  coreBusyMs,
  cpuMs,
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

/** How long and how often to measure. */
export interface Pace {
  readonly rounds: number
  readonly roundMs: number
  /** Sent to each server once, before the first round. */
  readonly warmupMs: number
}

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

/** One round of one server. */
interface Round {
  readonly perS: number
  readonly cpuUs: number
  /** Shares of the core during the round: of this server, and of processes that are not part of the bench. */
  readonly busy: number
  readonly others: number
  readonly load: LoadResult
}

/** Every round starts with this share of its own length, unmeasured, while connections and caches settle. */
const ROUND_WARMUP_SHARE = 0.2
/** Below this share of its core a server was not the limit: the load was, or somebody else had the core. */
const BUSY_MIN = 0.9
const OTHERS_MAX = 0.05

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
    if (row.fill !== undefined) {
      await load({ port: tally.port, shape: row.fill, connections: 8, warmupMs: 0, durationMs: 1000 })
    }
    for (const { port } of servers) {
      await load({
        port,
        shape: row.shape,
        connections: row.connections,
        warmupMs: 0,
        durationMs: pace.warmupMs,
      })
    }
    const rounds: { bare: Round; tally: Round }[] = []
    for (let index = 0; index < pace.rounds; index += 1) {
      rounds.push({ bare: await round(bare, row, pace), tally: await round(tally, row, pace) })
    }
    return { result: rateResult(row, rounds), perS: median(rounds.map((each) => each.tally.perS)) }
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
    const { shape, connections } = row
    await load({ port: tally.port, shape, connections, warmupMs: 0, durationMs: pace.warmupMs })
    const rounds: { parse: ParseResult; tally: Round }[] = []
    for (let index = 0; index < pace.rounds; index += 1) {
      await untilQuiet(tally.pid)
      const parse = await runReference<ParseResult>('parse', { shape, durationMs: pace.roundMs / 2 })
      rounds.push({ parse, tally: await round(tally, row, pace) })
    }
    const parseRate = (each: { parse: ParseResult }) => each.parse.events / each.parse.seconds
    return {
      ...rowHead(row),
      reference: perSecond(median(rounds.map(parseRate))),
      tally: perSecond(median(rounds.map((each) => each.tally.perS))),
      ratio: median(rounds.map((each) => each.tally.perS / parseRate(each))),
      cpuRatio: median(rounds.map((each) => each.parse.cpuUsPerEvent / each.tally.cpuUs)),
      notes: notes([
        { name: 'JSON.parse', cpuUs: median(rounds.map((each) => each.parse.cpuUsPerEvent)) },
        { name: 'tally', ...shares(rounds.map((each) => each.tally)) },
      ]),
    }
  } finally {
    await tally.stop()
    remove()
  }
}

/** The CPU time includes what the server still does after the load has stopped; the rate does not. */
async function round(server: Server, row: RateRow, pace: Pace): Promise<Round> {
  await untilQuiet(server.pid)
  const before = { cpu: cpuMs(server.pid), core: coreBusyMs(), at: performance.now() }
  const result = await load({
    port: server.port,
    shape: row.shape,
    connections: row.connections,
    warmupMs: pace.roundMs * ROUND_WARMUP_SHARE,
    durationMs: pace.roundMs,
  })
  const elapsedMs = pace.roundMs * (1 + ROUND_WARMUP_SHARE)
  const ownMs = cpuMs(server.pid) - before.cpu
  const allMs = coreBusyMs() - before.core
  await untilQuiet(server.pid)
  const billedMs = cpuMs(server.pid) - before.cpu
  return {
    perS: result.events / result.seconds,
    cpuUs: (billedMs * 1000) / result.eventsInAll,
    busy: ownMs / elapsedMs,
    others: Math.max(0, allMs - ownMs) / elapsedMs,
    load: result,
  }
}

function rateResult(row: RateRow, rounds: readonly { bare: Round; tally: Round }[]): RowResult {
  const bare = rounds.map((each) => each.bare)
  const tally = rounds.map((each) => each.tally)
  return {
    ...rowHead(row),
    reference: perSecond(median(bare.map((each) => each.perS))),
    tally: perSecond(median(tally.map((each) => each.perS))),
    ratio: median(rounds.map((each) => each.tally.perS / each.bare.perS)),
    cpuRatio: median(rounds.map((each) => each.bare.cpuUs / each.tally.cpuUs)),
    notes: notes([
      { name: 'bare', ...shares(bare) },
      { name: 'tally', ...shares(tally) },
    ]),
  }
}

function rowHead(row: RateRow) {
  return {
    row: row.row,
    title: row.title,
    better: 'higher' as const,
    required: row.required,
    aim: row.aim,
  }
}

function shares(rounds: readonly Round[]): Omit<Shares, 'name'> {
  return {
    cpuUs: median(rounds.map((each) => each.cpuUs)),
    busy: median(rounds.map((each) => each.busy)),
    others: median(rounds.map((each) => each.others)),
    p99Us: median(rounds.map((each) => each.load.latencyUs.p99)),
  }
}

interface Shares {
  readonly name: string
  readonly cpuUs: number
  readonly busy?: number
  readonly others?: number
  readonly p99Us?: number
}

function notes(servers: readonly Shares[]): string[] {
  return servers.flatMap(({ name, cpuUs, busy, others, p99Us }) => {
    const lines = [`${name}: ${cpuUs.toFixed(2)} µs CPU each`]
    if (p99Us !== undefined) lines[0] += `, p99 ${(p99Us / 1000).toFixed(2)} ms`
    if (busy !== undefined) lines[0] += `, its core busy with it ${percent(busy)}`
    if (busy !== undefined && busy < BUSY_MIN) {
      lines.push(`${name} had less than ${percent(BUSY_MIN)} of its core: it was not the limit of this run`)
    }
    if (others !== undefined && others > OTHERS_MAX) {
      lines.push(`other processes had ${percent(others)} of the core: repeat this on a quiet machine`)
    }
    return lines
  })
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}
