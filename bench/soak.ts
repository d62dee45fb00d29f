import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { load, residentBytes, startTally, temporaryDir } from './processes.ts'
import { mebibytes, median, milliseconds, type RowResult } from './report.ts'

const CONNECTIONS = 64
const KEYS = 1_000
const SAMPLE_MS = 1_000
const HEAP_METRIC = /^nodejs_heap_size_used_bytes\S* (\S+)$/m

/** How long a soak runs. */
export interface SoakPace {
  /** Before the first figure is taken: caches and pools reach their size. */
  readonly warmupMs: number
  readonly durationMs: number
}

/**
 * Resident memory under single events at half the highest rate, the end to the start. Both are medians over a
 * window, as a garbage collector makes single readings jump.
 */
export async function soak(highestPerS: number, pace: SoakPace): Promise<RowResult> {
  const { dir, remove } = temporaryDir()
  const tally = await startTally(path.join(dir, 'tally.db'))
  const windowMs = Math.min(30_000, pace.durationMs / 4)
  const samples: { atMs: number; bytes: number }[] = []
  const startMs = performance.now()
  let isOver = false
  const watch = async () => {
    while (!isOver) {
      samples.push({ atMs: performance.now() - startMs, bytes: residentBytes(tally.pid) })
      await sleep(SAMPLE_MS)
    }
  }
  try {
    const watching = watch()
    const plan = {
      port: tally.port,
      shape: { kind: 'single', keys: KEYS },
      connections: CONNECTIONS,
    } as const
    const ratePerS = highestPerS / 2
    const result = await load({ ...plan, ...pace, ratePerS })
    isOver = true
    await watching
    const heap = await heapBytes(tally.port)
    const endMs = pace.warmupMs + pace.durationMs
    const between = (from: number, to: number) =>
      median(samples.filter(({ atMs }) => atMs >= from && atMs < to).map(({ bytes }) => bytes))
    const atStart = between(pace.warmupMs, pace.warmupMs + windowMs)
    const atEnd = between(endMs - windowMs, endMs)
    const peak = Math.max(...samples.map(({ bytes }) => bytes))
    return {
      row: 'soak',
      title: `resident memory over ${(pace.durationMs / 60_000).toFixed(1)} minutes at half rate, end to start`,
      reference: mebibytes(atStart),
      tally: mebibytes(atEnd),
      ratio: atEnd / atStart,
      better: 'lower',
      required: 1.05,
      aim: 1,
      disturbed: undefined,
      notes: [
        `${result.requests.toLocaleString('en')} requests at ${Math.round(ratePerS).toLocaleString('en')}/s, p99 ${milliseconds(result.latencyUs.p99)}, highest ${milliseconds(result.latencyUs.max)}`,
        `peak ${mebibytes(peak)}; heap in use after it ${mebibytes(heap)}`,
        `every minute: ${everyMinute(samples)
          .map((bytes) => (bytes / 1024 / 1024).toFixed(0))
          .join(' ')} MiB`,
      ],
    }
  } finally {
    isOver = true
    await tally.stop()
    remove()
  }
}

function everyMinute(samples: readonly { atMs: number; bytes: number }[]): number[] {
  const minutes = Map.groupBy(samples, ({ atMs }) => Math.floor(atMs / 60_000))
  return [...minutes.values()].map((inMinute) => median(inMinute.map(({ bytes }) => bytes)))
}

async function heapBytes(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`)
  return Number(HEAP_METRIC.exec(await response.text())?.[1] ?? Number.NaN)
}
