import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'

const MAIN_FILE = join(import.meta.dirname, '..', '..', 'src', 'main.ts')
const START_MS_MAX = 20_000

/** How a process ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A process of the real service. */
export interface Tally {
  readonly url: string
  readonly pid: number
  /** From the start of the process to the first 200 of /health/ready, milliseconds. */
  readonly readyMs: number
  readonly exited: Promise<Exit>
  isRunning(): boolean
  signal(signal: NodeJS.Signals): void
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves with how it ended. */
  stop(): Promise<Exit>
  /** All it wrote to stdout and stderr. */
  output(): string
}

export interface SpawnOptions {
  /** Arguments of Node before the program's file. */
  readonly nodeArgs?: readonly string[]
  /** A command that the whole command line is handed to, such as strace. It must exec Node under its own pid. */
  readonly prefix?: readonly string[]
  /** Settings as variables. */
  readonly env?: Readonly<Record<string, string>>
}

/** The counters of every fault test. */
export const COUNTERS = ['clicks', 'views'] as const

/**
 * Starts `tally serve` on a store file and waits until it is ready. The process is killed when the test ends,
 * at the latest. Throws when it ends before it is ready, with what it wrote.
 */
export async function spawnTally(file: string, options: SpawnOptions = {}): Promise<Tally> {
  const startMs = performance.now()
  const run = runTally(['--json', 'serve'], file, options)
  const url = await Promise.race([run.firstLine, sleep(START_MS_MAX, 'late', { ref: false }), run.exited])
  if (typeof url !== 'string' || url === 'late') {
    run.child.kill('SIGKILL')
    throw new Error(`tally serve did not start: ${JSON.stringify(url)}\n${run.output()}`)
  }
  const address = String((JSON.parse(url) as { url: unknown }).url)
  await untilReady(address, run)
  const readyMs = performance.now() - startMs
  const isRunning = () => run.child.exitCode === null && run.child.signalCode === null
  const signal = (name: NodeJS.Signals) => void run.child.kill(name)
  return {
    url: address,
    pid: run.child.pid ?? 0,
    readyMs,
    exited: run.exited,
    isRunning,
    signal,
    kill: async () => {
      signal('SIGKILL')
      await run.exited
    },
    stop: () => {
      signal('SIGTERM')
      return run.exited
    },
    output: run.output,
  }
}

/** Runs a command on a store file to its end. */
export async function runToEnd(
  args: readonly string[],
  file: string,
  options: SpawnOptions = {},
): Promise<Exit & { output: string }> {
  const run = runTally(args, file, options)
  return { ...(await run.exited), output: run.output() }
}

interface Run {
  readonly child: ChildProcess
  readonly exited: Promise<Exit>
  readonly firstLine: Promise<string>
  output(): string
}

function runTally(args: readonly string[], file: string, options: SpawnOptions): Run {
  const { nodeArgs = [], prefix = [], env = {} } = options
  const [command = '', ...rest] = [...prefix, process.execPath, ...nodeArgs, MAIN_FILE, ...args]
  const child = spawn(command, rest, {
    cwd: dirname(file),
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...cleanEnvironment(),
      TALLY_STORE: `sqlite:${file}`,
      TALLY_PORT: '0',
      TALLY_COUNTERS: COUNTERS.join(','),
      TALLY_LOG_LEVEL: 'warn',
      ...env,
    },
  })
  const chunks: string[] = []
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  const killAtExit = () => void child.kill('SIGKILL')
  process.once('exit', killAtExit)
  void exited.then(
    () => process.removeListener('exit', killAtExit),
    () => undefined,
  )
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const firstLine = new Promise<string>((resolve) => {
    let text = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      chunks.push(chunk)
      text += chunk
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
  })
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk))
  return { child, exited, firstLine, output: () => chunks.join('') }
}

/** Tally refuses variables that it doesn't know, and the test runner's own would change Node. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const foreign = /^(TALLY_|VITEST|NODE_|npm_)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))
}

async function untilReady(url: string, run: Run): Promise<void> {
  const endMs = performance.now() + START_MS_MAX
  while (performance.now() < endMs) {
    const status = await fetch(`${url}/health/ready`).then(
      (response) => response.status,
      () => 0,
    )
    if (status === 200) return
    if (run.child.exitCode !== null || run.child.signalCode !== null) break
    await sleep(10)
  }
  run.child.kill('SIGKILL')
  throw new Error(`tally serve was not ready\n${run.output()}`)
}

/** A folder on a real disk for one test, removed when it ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tally-fault-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The first of an emitter's events, or an error after `ms`. */
export async function within<Result>(promise: Promise<Result>, ms: number, what: string): Promise<Result> {
  const aborted = new AbortController()
  const late = sleep(ms, undefined, { signal: aborted.signal }).then(
    () => {
      throw new Error(`${what} took more than ${ms} ms`)
    },
    () => new Promise<never>(() => undefined),
  )
  try {
    return await Promise.race([promise, late])
  } finally {
    aborted.abort()
  }
}
