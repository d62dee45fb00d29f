import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { TallyError } from '../../src/core/errors.ts'
import { checkStore } from '../../src/store/sqlite/check-store.ts'
import type { OpenStore } from '../../src/store/store.ts'
import { Load } from '../support/load.ts'
import { Oracle } from '../support/oracle.ts'
import { faultRounds, type SeededRandom, seededRandom } from '../support/seeded-random.ts'
import { COUNTERS, runToEnd, spawnTally, temporaryFolder } from '../support/spawn-tally.ts'
import { applyTo, type Contents, openFile, readContents } from '../support/verify.ts'

const PAGE_BYTES = 4096
const EXIT_FAILED = 1

/** A store as it was left, kept in memory, and what it must hold. */
interface Specimen {
  readonly file: Buffer
  readonly log: Buffer | undefined
  readonly oracle: Oracle
  readonly truth: string
  readonly contents: Contents
}

/**
 * What came of opening a damaged store:
 * `refused` by name; `intact`: opens and holds the truth; `earlier`: opens as it was at an earlier moment,
 * whole and consistent; `found`: opens, and the check names the damage; `silent`: wrong, and nobody says so.
 */
type Verdict = 'refused' | 'intact' | 'earlier' | 'found' | 'silent'

function asText(contents: Contents): string {
  const sorted = (keys: Map<string, number>) => [...keys].sort(([left], [right]) => (left < right ? -1 : 1))
  return JSON.stringify([
    [...contents.values].map(([counter, keys]) => [counter, sorted(keys)]),
    [...contents.series].map(([series, keys]) => [series, sorted(keys)]),
    contents.ledger,
  ])
}

/** Loads a store and leaves it: stopped in an orderly way, or killed with its log beside it. */
async function makeSpecimen(random: SeededRandom, ending: 'stopped' | 'killed'): Promise<Specimen> {
  const path = join(temporaryFolder(), 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 60 })
  const tally = await spawnTally(path)
  const load = new Load(() => tally.url, oracle, { singles: 2, batches: 1, batchSize: 50, eventsMax: 3_000 })
  await load.ended()
  // Some of it folded, some of it not.
  await sleep(1_300)
  const more = new Load(() => tally.url, oracle, { singles: 2, batches: 1, batchSize: 50, eventsMax: 4_000 })
  await more.ended()
  if (ending === 'stopped') await tally.stop()
  else await tally.kill()
  if (ending === 'stopped') vacuum(path)
  const file = readFileSync(path)
  const log = existsSync(`${path}-wal`) ? readFileSync(`${path}-wal`) : undefined
  const opened = await openFile(path)
  const contents = await readContents(opened, COUNTERS)
  await opened.close()
  return { file, log, oracle, contents, truth: asText(contents) }
}

/** Leaves no page unused: every byte means something. */
function vacuum(path: string): void {
  const db = new DatabaseSync(path)
  db.exec('VACUUM; PRAGMA wal_checkpoint(TRUNCATE)')
  db.close()
}

/** Writes a specimen with one or both of its files damaged, opens it and judges. */
async function judge(
  specimen: Specimen,
  damaged: { file?: Buffer; log?: Buffer | undefined },
  path: string,
): Promise<{ verdict: Verdict; reason: string }> {
  writeStore(specimen, damaged, path)
  let opened: OpenStore
  try {
    opened = await openFile(path)
  } catch (error) {
    return refusal(error)
  }
  try {
    return await judgeOpened(specimen, opened, path)
  } catch (error) {
    return refusal(error)
  } finally {
    await opened.close().catch(() => undefined)
  }
}

function writeStore(
  specimen: Pick<Specimen, 'file' | 'log'>,
  damaged: { file?: Buffer; log?: Buffer | undefined },
  path: string,
) {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true })
  writeFileSync(path, damaged.file ?? specimen.file)
  const log = 'log' in damaged ? damaged.log : specimen.log
  if (log !== undefined) writeFileSync(`${path}-wal`, log)
}

const REFUSALS = ['store_corrupt', 'store_too_new']

function refusal(error: unknown): { verdict: Verdict; reason: string } {
  if (error instanceof TallyError && REFUSALS.includes(error.code)) {
    return { verdict: 'refused', reason: error.message }
  }
  throw new Error('refused, but not by name', { cause: error })
}

/** What `tally doctor` looks at, without the cost of a thread for each of hundreds of files. */
function check(path: string): string[] {
  const db = new DatabaseSync(path)
  try {
    return checkStore(db)
  } finally {
    db.close()
  }
}

async function judgeOpened(
  specimen: Specimen,
  opened: OpenStore,
  path: string,
): Promise<{ verdict: Verdict; reason: string }> {
  const found = check(path)
  if (found.length > 0) return { verdict: 'found', reason: found[0] ?? '' }
  const contents = await readContents(opened, COUNTERS)
  // What it still knows is sent again: whatever it has forgotten is counted now, anything else is not.
  const isTrue = asText(contents) === specimen.truth
  const receipt = await applyTo(opened, specimen.oracle.events(true))
  const lost = specimen.contents.ledger.reduce((sum, line) => sum + line.counted, 0) - total(contents)
  const isWhole = receipt.counted === lost
  if (isTrue)
    return { verdict: isWhole ? 'intact' : 'silent', reason: `${receipt.counted} ids were forgotten` }
  const isEarlier = lost > 0 && isWhole && isConsistent(contents)
  return { verdict: isEarlier ? 'earlier' : 'silent', reason: difference(contents, specimen.contents) }
}

function total({ values }: Contents): number {
  let sum = 0
  for (const keys of values.values()) for (const value of keys.values()) sum += value
  return sum
}

/** Values, series and ledger agree with each other. */
function isConsistent(contents: Contents): boolean {
  const counted = contents.ledger.reduce((sum, line) => sum + line.counted, 0)
  const sums = [...contents.series.values()].map((keys) =>
    [...keys.values()].reduce((sum, one) => sum + one, 0),
  )
  const bySeries = sums.reduce((sum, one) => sum + one, 0) / 3
  return counted === total(contents) && bySeries === counted
}

function difference(found: Contents, truth: Contents): string {
  for (const [name, keys] of [...truth.values, ...truth.series]) {
    const others = found.values.get(name) ?? found.series.get(name)
    for (const [key, value] of keys) {
      const other = others?.get(key)
      if (other !== value) return `${name}/${key}: ${other} instead of ${value}`
    }
  }
  return `ledger ${JSON.stringify(found.ledger)} instead of ${JSON.stringify(truth.ledger)}`
}

/** Judges many damages of one specimen and tells how they ended. */
async function judgeAll(
  name: string,
  specimen: Specimen,
  damages: Iterable<{ what: string; file?: Buffer; log?: Buffer | undefined }>,
): Promise<{ counts: Record<Verdict, number>; silent: string[] }> {
  const path = join(temporaryFolder(), 'tally.db')
  const counts = { refused: 0, intact: 0, earlier: 0, found: 0, silent: 0 }
  const silent: string[] = []
  for (const { what, ...damaged } of damages) {
    const { verdict, reason } = await judge(specimen, damaged, path)
    counts[verdict]++
    if (verdict === 'silent') silent.push(`${what}: ${reason}`)
  }
  process.stdout.write(`${name}: ${JSON.stringify(counts)}\n`)
  return { counts, silent }
}

function flipped(bytes: Buffer, at: number, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << bit), at)
  return copy
}

function* flips(random: SeededRandom, times: number, bytes: Buffer, part: 'file' | 'log') {
  for (let round = 0; round < times; round++) {
    const at = random.between(0, bytes.length - 1)
    const bit = random.between(0, 7)
    yield { what: `bit ${bit} of byte ${at} flipped`, [part]: flipped(bytes, at, bit) }
  }
}

function* cuts(random: SeededRandom, times: number, bytes: Buffer, part: 'file' | 'log') {
  for (let round = 0; round < times; round++) {
    const cut = round === 0 ? 1 : round === 1 ? PAGE_BYTES : random.between(2, PAGE_BYTES - 1)
    yield { what: `cut by ${cut} bytes`, [part]: bytes.subarray(0, bytes.length - cut) }
  }
}

/** Pages as they are when only a part of them reached the disk: zeros, or half of another page. */
function* tornPages(random: SeededRandom, times: number, bytes: Buffer) {
  const pages = bytes.length / PAGE_BYTES
  for (let round = 0; round < times; round++) {
    const copy = Buffer.from(bytes)
    const page = random.between(0, pages - 1)
    const half = PAGE_BYTES / 2
    if (round % 2 === 0) copy.fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
    else {
      const other = random.between(1, pages - 1)
      bytes.copy(copy, page * PAGE_BYTES + half, other * PAGE_BYTES + half, (other + 1) * PAGE_BYTES)
    }
    yield { what: `page ${page} ${round % 2 === 0 ? 'zeroed' : 'torn'}`, file: copy }
  }
}

describe('a damaged store is refused or found, never silently wrong', () => {
  it('bits flipped, pages zeroed or torn, and ends cut off, in the file of a stopped store', async () => {
    const random = seededRandom('damaged file')
    const specimen = await makeSpecimen(random, 'stopped')
    const { file } = specimen
    const all = [
      await judgeAll('flips', specimen, flips(random, faultRounds(200), file, 'file')),
      await judgeAll('cuts', specimen, cuts(random, faultRounds(10), file, 'file')),
      await judgeAll('torn pages', specimen, tornPages(random, faultRounds(40), file)),
    ]
    expect(all.flatMap(({ silent }) => silent)).toEqual([])
    // Nothing was lost at its stop, so nothing but the truth may come out of it.
    expect(all.reduce((sum, { counts }) => sum + counts.earlier, 0)).toBe(0)
    expect(all.reduce((sum, { counts }) => sum + counts.refused + counts.found, 0)).toBeGreaterThan(30)
  })

  it('the same in the file of a killed store, with its log beside it', async () => {
    const random = seededRandom('damaged file, killed')
    const specimen = await makeSpecimen(random, 'killed')
    const { file } = specimen
    const all = [
      await judgeAll('flips', specimen, flips(random, faultRounds(20), file, 'file')),
      await judgeAll('cuts', specimen, cuts(random, faultRounds(5), file, 'file')),
      await judgeAll('torn pages', specimen, tornPages(random, faultRounds(10), file)),
    ]
    expect(all.flatMap(({ silent }) => silent)).toEqual([])
  })

  it('a cut or flipped log gives a whole earlier state, in which what is missing counts when sent again', async () => {
    const random = seededRandom('damaged log')
    const specimen = await makeSpecimen(random, 'killed')
    const { log } = specimen
    if (log === undefined) throw new Error('the killed store left no log')
    const all = [
      await judgeAll('log flips', specimen, flips(random, faultRounds(20), log, 'log')),
      await judgeAll('log cuts', specimen, cuts(random, faultRounds(5), log, 'log')),
      await judgeAll('log gone', specimen, [{ what: 'no log', log: undefined }]),
    ]
    expect(all.flatMap(({ silent }) => silent)).toEqual([])
    expect(all.reduce((sum, { counts }) => sum + counts.earlier, 0)).toBeGreaterThan(0)
  })

  it('the service refuses it with its name, on the command line and by its exit code', async () => {
    const random = seededRandom('damaged file, service')
    const { file } = await makeSpecimen(random, 'stopped')
    const zeroed = Buffer.from(file).fill(0, PAGE_BYTES, 3 * PAGE_BYTES)
    const damages: Record<string, Buffer> = {
      'cut by a byte': file.subarray(0, -1),
      'cut by half': file.subarray(0, Math.floor(file.length / 2 / PAGE_BYTES) * PAGE_BYTES),
      'zeroed pages': zeroed,
      garbage: Buffer.from(Array.from({ length: 20_000 }, () => random.between(0, 255))),
      'another program\u2019s file': Buffer.from('<!doctype html><title>Not a store</title>'.repeat(200)),
    }
    const path = join(temporaryFolder(), 'tally.db')
    for (const [what, bytes] of Object.entries(damages)) {
      writeStore({ file: bytes, log: undefined }, {}, path)
      const { code, output } = await runToEnd(['--json', 'serve'], path)
      expect({ what, code, output: output.includes('store_corrupt') }).toEqual({
        what,
        code: EXIT_FAILED,
        output: true,
      })
      expect(readFileSync(path).equals(bytes)).toBe(true)
    }
  })

  it('an empty file is a new store; a database of another program is refused and left as it is', async () => {
    const path = join(temporaryFolder(), 'tally.db')
    writeFileSync(path, '')
    await (await openFile(path)).close()
    const foreign = join(temporaryFolder(), 'foreign.db')
    const db = new DatabaseSync(foreign)
    db.exec("CREATE TABLE meta (name TEXT, value TEXT); INSERT INTO meta VALUES ('mine', 'untouched')")
    db.close()
    await expect(openFile(foreign)).rejects.toMatchObject({ code: 'store_corrupt' })
    const again = new DatabaseSync(foreign, { readOnly: true })
    expect(again.prepare('SELECT * FROM meta').all()).toEqual([{ name: 'mine', value: 'untouched' }])
    expect(again.prepare("SELECT count(*) AS tables FROM sqlite_schema WHERE type = 'table'").get()).toEqual({
      tables: 1,
    })
    again.close()
  })
})
