import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CRASH_POINTS, type CrashPoint, crashAt } from '../support/crash-at.ts'
import { Load } from '../support/load.ts'
import { Oracle } from '../support/oracle.ts'
import { faultRounds, type SeededRandom, seededRandom } from '../support/seeded-random.ts'
import {
  COUNTERS,
  type SpawnOptions,
  spawnTally,
  type Tally,
  temporaryFolder,
  within,
} from '../support/spawn-tally.ts'
import { strace, straceMissing } from '../support/strace.ts'
import { LedgerWatch, verifyFile, verifyRunning } from '../support/verify.ts'

const CRASH_MS_MAX = 15_000

/** At which of its passes a point is crashed at: commits are many, folds take a second each. */
const HITS: Record<CrashPoint, readonly [low: number, high: number]> = {
  'before-write': [1, 150],
  'after-write': [1, 150],
  'after-commit': [1, 150],
  'before-acknowledgement': [1, 600],
  'inside-slice': [1, 8],
  'between-slices': [1, 6],
  'after-last-slice': [1, 2],
  'in-recovery': [1, 1],
  'after-recovery': [1, 1],
}

/** Crashes a service on one store again and again, each time as `crash` says, and judges what is left. */
async function crashAgainAndAgain(
  random: SeededRandom,
  rounds: number,
  crash: (round: number) => SpawnOptions,
): Promise<void> {
  const file = join(temporaryFolder(), 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 1_500 })
  let tally: Tally | undefined
  const load = new Load(() => tally?.url, oracle, { singles: 6, batches: 2, batchSize: 500, pauseMs: 25 })
  const watch = new LedgerWatch(() => tally?.url)
  for (let round = 0; round < rounds; round++) {
    try {
      tally = await spawnTally(file, crash(round))
    } catch (error) {
      // One that crashes while it opens its store was never ready.
      if (!String(error).includes('SIGKILL')) throw error
      continue
    }
    const exit = await within(tally.exited, CRASH_MS_MAX, 'the crash')
    tally = undefined
    expect(exit.signal).toBe('SIGKILL')
  }
  tally = await spawnTally(file)
  await new Promise((resolve) => setTimeout(resolve, 300))
  await load.stop()
  await watch.stop()
  expect(oracle.acknowledgedCount).toBeGreaterThan(0)
  expect([...load.refusals.keys()]).toEqual([])
  expect(watch.violations).toEqual([])
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
}

describe('a crash at a named point loses and doubles nothing', () => {
  for (const point of CRASH_POINTS) {
    it(point, async () => {
      const random = seededRandom(`crash ${point}`)
      await crashAgainAndAgain(random, faultRounds(3), (round) => {
        const isOpening = point === 'in-recovery' || point === 'after-recovery'
        // Between two crashes of the opening there has to be something to recover.
        if (isOpening && round % 2 === 0) return { nodeArgs: crashAt('after-commit', random.between(1, 100)) }
        const [low, high] = HITS[point]
        return { nodeArgs: crashAt(point, random.between(low, high)) }
      })
    })
  }

  it('in the middle of writing, at any write to the disk', async (test) => {
    const missing = straceMissing()
    if (missing !== undefined) return test.skip(missing)
    const random = seededRandom('crash mid-write')
    await crashAgainAndAgain(random, faultRounds(3), () => ({
      prefix: strace('pwrite64', `signal=KILL:when=${random.between(60, 1_500)}`),
    }))
  })
})
