import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { exitOnSignals, load, startTally, temporaryDir, untilQuiet } from './processes.ts'
import { BARE_ROWS, PARSE_ROWS } from './rows.ts'

/**
 * `node bench/profile.ts ROW [--seconds N] [--top N] [--keep DIR]` runs a row's load against the service with
 * V8's sampling profiler on and prints, for each thread, where its own time went. Start-up is in the profile
 * too: with ten seconds of load it is about a twentieth.
 */

/** The parts of a .cpuprofile that matter here (Chrome DevTools Protocol, Profiler.Profile). */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const SAMPLE_US = 500
const PROJECT = path.join(import.meta.dirname, '..')

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '10' },
    top: { type: 'string', default: '25' },
    keep: { type: 'string' },
  },
})

const [name] = positionals
const row = [...BARE_ROWS, ...PARSE_ROWS].find((each) => each.row === name)
if (row === undefined) {
  throw new Error(`expected one of ${[...BARE_ROWS, ...PARSE_ROWS].map((each) => each.row).join(', ')}`)
}

exitOnSignals()
const { dir, remove } = temporaryDir()
try {
  const profiles = flags.keep ?? dir
  const tally = await startTally(path.join(dir, 'tally.db'), [
    '--cpu-prof',
    `--cpu-prof-dir=${path.resolve(profiles)}`,
    `--cpu-prof-interval=${SAMPLE_US}`,
  ])
  try {
    const { port } = tally
    if (row.fill !== undefined) {
      await load({ port, shape: row.fill, connections: 8, warmupMs: 0, durationMs: 1000 })
    }
    const durationMs = Number(flags.seconds) * 1000
    const { shape, connections } = row
    const result = await load({ port, shape, connections, warmupMs: 500, durationMs })
    process.stdout.write(`${row.title}\n${Math.round(result.events / result.seconds)}/s while profiled\n`)
    await untilQuiet(tally.pid)
  } finally {
    await tally.stop()
  }
  const files = readdirSync(profiles).filter((file) => file.endsWith('.cpuprofile'))
  if (files.length === 0) throw new Error('the service left no profile: did it stop by itself?')
  for (const file of files.toSorted()) {
    const profile = JSON.parse(readFileSync(path.join(profiles, file), 'utf8')) as CpuProfile
    process.stdout.write(`\n${file}\n${topList(profile, Number(flags.top))}\n`)
  }
} finally {
  remove()
}

/** The functions with the most time of their own, as shares of the time the thread was not idle. */
function topList(profile: CpuProfile, count: number): string {
  const names = new Map(profile.nodes.map((node) => [node.id, placeOf(node.callFrame)]))
  const ownUs = new Map<string, number>()
  for (const [index, id] of profile.samples.entries()) {
    const place = names.get(id) ?? '(unknown)'
    ownUs.set(place, (ownUs.get(place) ?? 0) + (profile.timeDeltas[index] ?? 0))
  }
  const idleUs = ownUs.get('(idle)') ?? 0
  ownUs.delete('(idle)')
  const busyUs = [...ownUs.values()].reduce((sum, us) => sum + us, 0)
  const lines = [...ownUs.entries()]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([place, us]) => `${((us / busyUs) * 100).toFixed(1).padStart(6)} %  ${place}`)
  const head = `busy ${(busyUs / 1e6).toFixed(2)} s, idle or off the core ${(idleUs / 1e6).toFixed(2)} s`
  return [head, ...lines].join('\n')
}

function placeOf(frame: CpuProfile['nodes'][number]['callFrame']): string {
  const functionName = frame.functionName || '(anonymous)'
  if (frame.url === '') return functionName
  const file = frame.url.startsWith('file://')
    ? path.relative(PROJECT, new URL(frame.url).pathname)
    : frame.url
  return `${functionName}  ${file}:${frame.lineNumber + 1}`
}
