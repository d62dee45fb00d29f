import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

const MAIN_FILE = join(import.meta.dirname, '..', '..', 'src', 'main.ts')

/** How a command ended and what it wrote. */
export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A command that runs. */
export interface Running {
  readonly child: ChildProcess
  /** Resolves when it has ended and everything it wrote was read. */
  readonly finished: Promise<Finished>
  /** What it wrote so far. */
  stdout(): string
  stderr(): string
}

/** A working folder with the default store `./data/tally.db` of its own, removed when the test ends. */
export interface Workplace {
  readonly folder: string
  start(args: readonly string[], env?: Readonly<Record<string, string>>): Running
  /** Runs a command to its end, with nothing on stdin. */
  tally(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Finished>
}

export function makeWorkplace(): Workplace {
  const folder = mkdtempSync(join(tmpdir(), 'tally-cli-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const start: Workplace['start'] = (args, env = {}) => {
    const child = spawn(process.execPath, [MAIN_FILE, ...args], {
      cwd: folder,
      env: { ...cleanEnvironment(), ...env },
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    // A command may end before it has read what it is sent.
    child.stdin.on('error', () => undefined)
    const finished = new Promise<Finished>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, stdout, stderr }))
    })
    return { child, finished, stdout: () => stdout, stderr: () => stderr }
  }
  return {
    folder,
    start,
    tally(args, env) {
      const running = start(args, env)
      running.child.stdin?.end()
      return running.finished
    },
  }
}

/** Tally refuses variables that it doesn't know, and the test runner's own would change Node. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const foreign = /^(TALLY_|VITEST|NODE_|npm_)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))
}
