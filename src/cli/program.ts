import { Command, CommanderError } from 'commander'
import { VERSION } from '../core/version.ts'
import { CONFIG_FLAG } from '../settings/options.ts'
import { countCommands } from './count-commands.ts'
import { EXIT, type ExitCode, failureOf } from './exit.ts'
import { sourcesOf } from './flags.ts'
import type { Run } from './invocation.ts'
import { serviceCommands } from './service-commands.ts'
import { type Streams, Terminal } from './terminal.ts'

const EXIT_CODES = `
Exit codes: 0 done, 1 failed, 2 wrong command line or settings, 3 not reachable or locked, 4 not found`

/**
 * Runs a command line (without the executable's name) and resolves with its exit code. Results go to
 * stdout, everything else to stderr. Never rejects.
 */
export async function runProgram(args: readonly string[], streams: Streams): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok
  const program = createProgram(streams, async (command, body) => {
    const values = command.optsWithGlobals<Record<string, unknown>>()
    const terminal = new Terminal(streams, values.json === true)
    exitCode = await body({ terminal, sources: sourcesOf(values) }).catch((error: unknown) => {
      tell(error, terminal)
      return failureOf(error).exitCode
    })
  })
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  }
  return exitCode
}

function createProgram(streams: Streams, run: Run): Command {
  const program = new Command('tally')
    .description('Counts events exactly once, and can prove it.')
    .version(VERSION, '-V, --version', 'print the version')
    .option('--json', 'print results as JSON')
    .option(`${CONFIG_FLAG} <FILE>`, 'the settings file, instead of tally.yaml')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: (text) => streams.stderr.write(text),
    })
    .showHelpAfterError('(--help shows what is possible)')
    .exitOverride()
    .addHelpText('after', EXIT_CODES)
  serviceCommands(program, run)
  countCommands(program, run)
  return program
}

function tell(error: unknown, terminal: Terminal): void {
  const { message, code } = failureOf(error)
  if (terminal.isJson) {
    terminal.note(JSON.stringify({ error: { ...(code === undefined ? {} : { code }), message } }))
    return
  }
  for (const line of message.split('\n')) terminal.note(`tally: ${line}`)
}
