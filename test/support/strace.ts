import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

let missing: string | undefined | null = null

/**
 * Why strace can't be used here, or undefined. In continuous integration (CI=true) it has to be there: then
 * this throws instead, so that no fault goes untested in silence.
 */
export function straceMissing(): string | undefined {
  if (missing === null) {
    const tried = spawnSync('strace', ['-f', '-D', '-o', '/dev/null', '-e', 'trace=fsync', 'true'])
    missing =
      tried.status === 0 ? undefined : 'strace is not installed or not allowed here (package: strace, Linux)'
  }
  return orFail(missing)
}

/** What is missing for a test; an error instead where CI=true. */
export function orFail(reason: string | undefined): string | undefined {
  if (reason !== undefined && process.env.CI === 'true') throw new Error(reason)
  return reason
}

/**
 * A command to run another one under, with a fault injected into system calls; see "Tampering" in strace(1).
 * The process keeps its own pid: strace stands beside it, not above it.
 */
export function strace(calls: string, inject: string): string[] {
  return [
    'strace',
    '-D',
    '-f',
    '-qq',
    '-o',
    '/dev/null',
    '-e',
    `trace=${calls}`,
    '-e',
    `inject=${calls}:${inject}`,
  ]
}

/** Injects a fault into the system calls of a running process, until `detach` or the end of the test. */
export async function attach(
  pid: number,
  calls: string,
  inject: string,
): Promise<{ detach(): Promise<void> }> {
  const args = ['-f', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', `inject=${calls}:${inject}`]
  const child = spawn('strace', [...args, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'close')
  await attached(child)
  const detach = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT')
    await ended
  }
  onTestFinished(detach)
  return { detach }
}

/** strace says so on stderr when it has the process. */
function attached(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes('attached')) resolve()
    })
    child.once('close', () => reject(new Error(`strace did not attach: ${text}`)))
  })
}
