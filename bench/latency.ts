import path from 'node:path'
import { load, runReference, startTally, temporaryDir, untilQuiet } from './processes.ts'
import type { FsyncResult } from './reference.ts'
import { median, milliseconds, type RowResult } from './report.ts'
import { calmest, measure, type Pace } from './rounds.ts'

const CONNECTIONS = 64
const KEYS = 1_000

/** The highest rate of single events that a fresh store takes, per second. */
export async function highestRate(pace: Pace): Promise<number> {
  const { dir, remove } = temporaryDir()
  const tally = await startTally(path.join(dir, 'tally.db'))
  try {
    const result = await load({
      port: tally.port,
      shape: { kind: 'single', keys: KEYS },
      connections: CONNECTIONS,
      warmupMs: pace.warmupMs,
      durationMs: pace.roundMs,
    })
    return result.requests / result.seconds
  } finally {
    await tally.stop()
    remove()
  }
}

/** Rounds of 4 KB appended and fsynced and of single events at half the highest rate, in turns. */
export async function compareLatency(highestPerS: number, pace: Pace): Promise<RowResult> {
  const { dir, remove } = temporaryDir()
  const tally = await startTally(path.join(dir, 'tally.db'))
  const ratePerS = highestPerS / 2
  try {
    const shape = { kind: 'single', keys: KEYS } as const
    const plan = { shape, connections: CONNECTIONS, durationMs: pace.roundMs, ratePerS }
    await load({ ...plan, port: tally.port, warmupMs: 0, durationMs: pace.warmupMs })
    await untilQuiet(tally.pid)
    const { rounds, disturbed } = await calmest(pace, async () => {
      const fsync = await runReference<FsyncResult>('fsync', { dir, durationMs: pace.roundMs })
      const { load: result, busy, others } = await measure(tally, { ...plan, warmupMs: pace.roundMs / 5 })
      return { fsync, busy, others, ...result.latencyUs }
    })
    const middle = (of: (round: (typeof rounds)[number]) => number) => milliseconds(median(rounds.map(of)))
    const busy = Math.round(100 * median(rounds.map((round) => round.busy)))
    return {
      row: 'latency',
      title: 'p99 of single events at half the highest rate, to the p99 of a 4 KB append and fsync',
      reference: middle((round) => round.fsync.p99Us),
      tally: middle((round) => round.p99),
      ratio: median(rounds.map((round) => round.p99 / round.fsync.p99Us)),
      better: 'lower',
      required: 6,
      aim: 2,
      disturbed,
      notes: [
        `at ${Math.round(ratePerS).toLocaleString('en')} requests a second, measured from each intended moment`,
        `tally: p50 ${middle((round) => round.p50)}, p99.9 ${middle((round) => round.p999)}, ${busy} % of its core`,
        `fsync: p50 ${middle((round) => round.fsync.p50Us)}`,
      ],
    }
  } finally {
    await tally.stop()
    remove()
  }
}
