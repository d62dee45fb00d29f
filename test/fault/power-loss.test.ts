import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { DiskTape, recordDisk, STORE_SUFFIXES } from '../support/disk-tape.ts'
import { type Acknowledgement, Load } from '../support/load.ts'
import { Oracle } from '../support/oracle.ts'
import { faultRounds, seededRandom } from '../support/seeded-random.ts'
import { COUNTERS, spawnTally, temporaryFolder } from '../support/spawn-tally.ts'
import { straceMissing } from '../support/strace.ts'
import { applyTo, openFile, verifyFile } from '../support/verify.ts'

const CLOCKS_APART_MS = 2

it('a power failure at any moment loses nothing that was acknowledged before it', async (test) => {
  const missing = straceMissing()
  if (missing !== undefined) return test.skip(missing)
  const random = seededRandom('power loss')
  const folder = temporaryFolder()
  const file = join(folder, 'tally.db')
  const tapeFile = join(folder, 'tape')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 600 })
  const tally = await spawnTally(file, { prefix: recordDisk(file, tapeFile) })
  const acknowledgements: Acknowledgement[] = []
  const load = new Load(() => tally.url, oracle, { singles: 6, batches: 2, batchSize: 200 })
  load.onAcknowledged = (acknowledgement) => acknowledgements.push(acknowledgement)
  await sleep(4_000)
  await load.stop()
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(oracle.violations).toEqual([])

  const tape = new DiskTape(file, tapeFile)
  const firstMs = acknowledgements[0]?.atMs ?? 0
  const steps = tape.recorded.filter(({ endMs }) => endMs > firstMs)
  const cycles = faultRounds(30)
  for (let cycle = 0; cycle < cycles; cycle++) {
    const momentMs = random.pick(steps).endMs
    const path = join(folder, `after-${cycle}.db`)
    for (const suffix of STORE_SUFFIXES) {
      writeFileSync(`${path}${suffix}`, tape.imageAt(suffix, momentMs, random))
    }
    // The clock of the clients and that of the tape may differ by a little.
    const before = acknowledgements
      .filter(({ atMs }) => atMs + CLOCKS_APART_MS <= momentMs)
      .flatMap(({ events }) => events)
    const found = await whatIsWrong(path, oracle, before)
    expect({ cycle, found }).toEqual({ cycle, found: [] })
  }
  process.stdout.write(
    `power loss: ${cycles} failures in ${tape.recorded.length} calls with ${tape.syncs} syncs, ` +
      `${acknowledgements.length} acknowledgements\n`,
  )
})

/** Sends every event again that was acknowledged before the failure: each has to be known. */
async function whatIsWrong(
  path: string,
  oracle: Oracle,
  acknowledged: Acknowledgement['events'],
): Promise<string[]> {
  const opened = await openFile(path)
  let counted = 0
  try {
    if (acknowledged.length > 0) counted = (await applyTo(opened, acknowledged)).counted
  } finally {
    await opened.close()
  }
  if (counted > 0) return [`${counted} of ${acknowledged.length} acknowledged events were lost`]
  return verifyFile(path, oracle, acknowledged)
}
