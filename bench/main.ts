import os from 'node:os'
import { parseArgs } from 'node:util'
import { compareLatency, highestRate } from './latency.ts'
import { canPin, diskDir, exitOnSignals, LOAD_CORE, SERVER_CORE } from './processes.ts'
import { type RowResult, table, verdict } from './report.ts'
import type { Pace } from './rounds.ts'
import { BARE_ROWS, PARSE_ROWS, ROW_NAMES } from './rows.ts'
import { soak } from './soak.ts'
import { compareWithBare, compareWithParse } from './throughput.ts'
import { compareYear } from './year.ts'

const HELP = `npm run bench -- [rows…] [options]

Measures the service against references of the same run and prints a ratio for each row.
Rows: ${ROW_NAMES.join(', ')}; all of them without a name (--quick leaves out read-hot and soak).

  --quick             about a minute: short rounds, a smaller year, figures for orientation only
  --soak-minutes N    how long the soak lasts after its warm-up of one minute (default 10)
  --rounds N          rounds of each row (default 5, quick 3)
  --json              the results as JSON on stdout, progress on stderr
  --help
`

const LONG_ROWS = new Set(['read-hot', 'soak'])
const MINUTE_MS = 60_000
const YEAR_KEYS = 20
const YEAR_KEYS_QUICK = 1

interface Plan {
  readonly rows: ReadonlySet<string>
  readonly pace: Pace
  readonly yearKeys: number
  readonly soakMinutes: number
}

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    'soak-minutes': { type: 'string', default: '10' },
  },
})

function plan(): Plan {
  for (const name of positionals) {
    if (!ROW_NAMES.includes(name)) throw new Error(`no row ${name}; there are ${ROW_NAMES.join(', ')}`)
  }
  const unnamed = flags.quick ? ROW_NAMES.filter((name) => !LONG_ROWS.has(name)) : ROW_NAMES
  const pace = flags.quick
    ? { rounds: 3, repeatsMax: 0, roundMs: 500, warmupMs: 500 }
    : { rounds: 5, repeatsMax: 3, roundMs: 5_000, warmupMs: 4_000 }
  return {
    rows: new Set(positionals.length > 0 ? positionals : unnamed),
    pace: { ...pace, rounds: positive(flags.rounds, 'rounds') ?? pace.rounds },
    yearKeys: flags.quick ? YEAR_KEYS_QUICK : YEAR_KEYS,
    soakMinutes: positive(flags['soak-minutes'], 'soak-minutes') ?? 10,
  }
}

function positive(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} must be a positive number, not ${text}`)
  return value
}

async function run({ rows, pace, yearKeys, soakMinutes }: Plan): Promise<RowResult[]> {
  const results: RowResult[] = []
  let highestPerS: number | undefined
  const keep = (result: RowResult) => {
    results.push(result)
    say(`${result.row}: ${result.ratio.toFixed(2)} (${verdict(result)})`)
    for (const note of result.notes) say(`  ${note}`)
    if (result.disturbed !== undefined) say(`  ${result.disturbed}`)
  }
  for (const row of BARE_ROWS) {
    if (!rows.has(row.row)) continue
    const { result, perS } = await compareWithBare(row, pace)
    if (row.row === 'single') highestPerS = perS
    keep(result)
  }
  for (const row of PARSE_ROWS) {
    if (rows.has(row.row)) keep(await compareWithParse(row, pace))
  }
  if (rows.has('latency')) {
    highestPerS ??= await highestRate(pace)
    keep(await compareLatency(highestPerS, pace))
  }
  if (rows.has('year')) keep(await compareYear(yearKeys, pace))
  if (rows.has('soak')) {
    highestPerS ??= await highestRate(pace)
    keep(await soak(highestPerS, { warmupMs: MINUTE_MS, durationMs: soakMinutes * MINUTE_MS }))
  }
  return results
}

/** Progress goes to stderr, so that stdout holds the results alone. */
function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

if (flags.help) {
  process.stdout.write(HELP)
} else {
  exitOnSignals()
  const chosen = plan()
  say(`Node ${process.version}, ${os.cpus()[0]?.model ?? 'unknown CPU'}, stores in ${diskDir()}`)
  say(
    canPin
      ? `servers on core ${SERVER_CORE}, load on core ${LOAD_CORE}`
      : 'NOT PINNED: taskset or a second core is missing; ratios of rates mean little, those of CPU time hold',
  )
  const results = await run(chosen)
  if (flags.json) {
    process.stdout.write(
      `${JSON.stringify(
        results.map((result) => ({ ...result, verdict: verdict(result) })),
        null,
        2,
      )}\n`,
    )
  } else process.stdout.write(`\n${table(results)}\n`)
  // Short rounds on a busy machine prove nothing, so they fail nothing.
  if (!flags.quick && results.some((result) => verdict(result) === 'short')) process.exitCode = 1
}
