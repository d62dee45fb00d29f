import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Load } from '../support/load.ts'
import { Oracle } from '../support/oracle.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { COUNTERS, runToEnd, spawnTally, temporaryFolder, within } from '../support/spawn-tally.ts'
import { verifyFile, verifyRunning } from '../support/verify.ts'

const EXIT_LOCKED = 3

it('a second process on the same store is refused by name, and the first one goes on', async () => {
  const random = seededRandom('second process')
  const file = join(temporaryFolder(), 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 100 })
  const tally = await spawnTally(file)
  const load = new Load(() => tally.url, oracle, { singles: 4, batches: 1, batchSize: 100 })
  const before = oracle.acknowledgedCount
  const second = await within(runToEnd(['--json', 'serve'], file), 10_000, 'the refusal')
  expect(second.code).toBe(EXIT_LOCKED)
  expect(second.output).toContain('store_locked')
  expect(second.output).toContain(tally.url)
  expect(oracle.acknowledgedCount).toBeGreaterThan(before)
  // The lock goes with its process, however it ends: the next one takes over at once.
  await load.stop()
  expect(load.lost.length).toBe(0)
  await tally.kill()
  const next = await spawnTally(file)
  expect(await verifyRunning(next.url, oracle)).toEqual([])
  expect(await next.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
})
