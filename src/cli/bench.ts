import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { CommandError, EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'

/** `tally bench`: runs the benchmark of the repository in a process of its own, which it may pin to a core. */
export async function runBench({ terminal }: Invocation, rest: readonly string[]): Promise<ExitCode> {
  const script = fileURLToPath(new URL('../../bench/main.ts', import.meta.url))
  if (!existsSync(script)) throw new CommandError(EXIT.notFound, 'this copy of Tally has no benchmark')
  const chosen = rest.length === 0 ? ['--quick'] : rest
  const args = [script, ...chosen, ...(terminal.isJson ? ['--json'] : [])]
  const child = spawn(process.execPath, args, { stdio: 'inherit' })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code === 0 ? EXIT.ok : EXIT.failed))
  })
}
