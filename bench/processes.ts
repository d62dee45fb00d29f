import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LoadPlan, LoadResult } from './load.ts'

/** The servers share one core, whatever sends to them has the other. */
export const SERVER_CORE = 0
export const LOAD_CORE = 1

const MAIN_FILE = path.join(import.meta.dirname, '..', 'src', 'main.ts')
const REFERENCE_FILE = path.join(import.meta.dirname, 'reference.ts')
const LOAD_FILE = path.join(import.meta.dirname, 'load.ts')
/** Linux reports CPU time in hundredths of a second to every program, whatever the kernel's own tick. */
const TICK_MS = 10
const READY_MS_MAX = 15_000
const STOP_MS_MAX = 20_000
const QUIET_PROBE_MS = 120
const QUIET_MS_MAX = 6_000
const TMPFS_MAGIC = 0x01021994

/** A running server. */
export interface Server {
  readonly port: number
  readonly pid: number
  /** Ends it with SIGTERM and waits. */
  stop(): Promise<void>
}

/** Whether processes can be pinned to a core here: Linux with `taskset` and two cores. */
export const canPin: boolean =
  os.availableParallelism() >= 2 && spawnSync('taskset', ['-c', String(LOAD_CORE), 'true']).status === 0

/** Starts Node on a file, on one core where that is possible. Its stdout is piped, its stderr shown. */
export function startNode(core: number, args: readonly string[], cwd?: string): ChildProcess {
  const command = canPin ? 'taskset' : process.execPath
  const prefix = canPin ? ['-c', String(core), process.execPath] : []
  return spawn(command, [...prefix, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(cwd === undefined ? {} : { cwd }),
  })
}

/** Runs a program of this folder to its end and parses what it prints. */
export async function runJson<T>(core: number, args: readonly string[]): Promise<T> {
  const child = startNode(core, args)
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(child, 'close')
  const text = Buffer.concat(chunks).toString()
  if (text === '') throw new Error(`${args.join(' ')} ended with code ${child.exitCode} and printed nothing`)
  return JSON.parse(text) as T
}

/** Sends one plan of load from the load's core; throws when the run had an error. */
export async function load(plan: LoadPlan): Promise<LoadResult> {
  const result = await runJson<LoadResult>(LOAD_CORE, [LOAD_FILE, JSON.stringify(plan)])
  if (result.errors > 0) {
    throw new Error(`the run had errors and is no measurement: ${result.firstError ?? 'unknown'}`)
  }
  return result
}

export async function runReference<T>(what: 'parse' | 'fsync', plan: unknown): Promise<T> {
  return await runJson<T>(SERVER_CORE, [REFERENCE_FILE, what, JSON.stringify(plan)])
}

/** The bare node:http server. */
export async function startBare(): Promise<Server> {
  const child = startNode(SERVER_CORE, [REFERENCE_FILE, 'http'])
  const { stdout } = child
  if (stdout === null) throw new Error('the bare server has no output')
  const [line] = (await once(stdout, 'data')) as [Buffer]
  return running(child, Number(new URL(line.toString().trim()).port))
}

/** The real service on a store file, as `npm start` would run it, with warnings only in its log. */
export async function startTally(storeFile: string, nodeArgs: readonly string[] = []): Promise<Server> {
  const port = await freePort()
  const flags = ['--store', `sqlite:${storeFile}`, '--host', '127.0.0.1', '--port', String(port)]
  const child = startNode(
    SERVER_CORE,
    [...nodeArgs, MAIN_FILE, 'serve', ...flags, '--log-level', 'warn'],
    path.dirname(storeFile),
  )
  child.stdout?.resume()
  await ready(port, child)
  return running(child, port)
}

function running(child: ChildProcess, port: number): Server {
  const pid = child.pid
  if (pid === undefined) throw new Error('the server did not start')
  const killAtExit = () => child.kill('SIGKILL')
  process.once('exit', killAtExit)
  return {
    port,
    pid,
    stop: async () => {
      process.removeListener('exit', killAtExit)
      if (child.exitCode !== null || child.signalCode !== null) return
      const closed = once(child, 'close')
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
      await closed
      clearTimeout(timer)
    },
  }
}

async function ready(port: number, child: ChildProcess): Promise<void> {
  const endMs = performance.now() + READY_MS_MAX
  while (performance.now() < endMs) {
    if (child.exitCode !== null) throw new Error(`the service ended with code ${child.exitCode}`)
    const status = await fetch(`http://127.0.0.1:${port}/health/ready`).then(
      (response) => response.status,
      () => 0,
    )
    if (status === 200) return
    await sleep(50)
  }
  child.kill('SIGKILL')
  throw new Error(`the service was not ready within ${READY_MS_MAX} ms`)
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}

/** CPU time of all threads of a process so far, milliseconds; NaN where there is no /proc. */
export function cpuMs(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS
  } catch {
    return Number.NaN
  }
}

/** Time a core was busy so far, with anything, milliseconds; NaN where there is no /proc. */
export function coreBusyMs(core: number): number {
  try {
    const line = readFileSync('/proc/stat', 'latin1')
      .split('\n')
      .find((text) => text.startsWith(`cpu${core} `))
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (line ?? '')
      .split(' ')
      .slice(1)
      .map(Number)
    return (user + nice + system + irq + softirq + steal) * TICK_MS
  } catch {
    return Number.NaN
  }
}

/** Resident memory, bytes; NaN where there is no /proc. */
export function residentBytes(pid: number): number {
  try {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
    return match === null ? Number.NaN : Number(match[1]) * 1024
  } catch {
    return Number.NaN
  }
}

/**
 * Waits until a server does nothing any more, so that work it put off (folding, checkpoints) neither slows the
 * next round of the other one nor escapes its own bill.
 */
export async function untilQuiet(pid: number): Promise<void> {
  const endMs = performance.now() + QUIET_MS_MAX
  let quiet = 0
  let before = cpuMs(pid)
  while (quiet < 2 && performance.now() < endMs && !Number.isNaN(before)) {
    await sleep(QUIET_PROBE_MS)
    const now = cpuMs(pid)
    quiet = now - before <= TICK_MS ? quiet + 1 : 0
    before = now
  }
}

/**
 * A directory for stores on a real disk: a file system in memory has no fsync to wait for and would flatter
 * every figure.
 */
export function diskDir(): string {
  const inMemory = statfsSync(os.tmpdir()).type === TMPFS_MAGIC
  return inMemory ? path.join(import.meta.dirname, '..', 'data') : os.tmpdir()
}

/** A new directory on a real disk and what removes it; a run that is cut off removes it too. */
export function temporaryDir(): { dir: string; remove: () => void } {
  const parent = diskDir()
  mkdirSync(parent, { recursive: true })
  const dir = mkdtempSync(path.join(parent, 'tally-bench-'))
  const removeNow = () => rmSync(dir, { recursive: true, force: true })
  process.once('exit', removeNow)
  return {
    dir,
    remove: () => {
      process.removeListener('exit', removeNow)
      removeNow()
    },
  }
}

/** Turns the signals that end a program into an exit, so that no server is left behind on the cores. */
export function exitOnSignals(): void {
  process.once('SIGINT', () => process.exit(130))
  process.once('SIGTERM', () => process.exit(143))
}
