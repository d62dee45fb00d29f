import { TallyError } from '../core/errors.ts'

/** The exit codes of every command; docs/cli.md explains them. They don't change between versions. */
export const EXIT = {
  ok: 0,
  /** It was tried and failed, or what was checked is wrong. */
  failed: 1,
  /** The command line or the settings are wrong; nothing was tried. */
  usage: 2,
  /** The server can't be reached, or the store is locked by a process that serves nothing. */
  unreachable: 3,
  /** What was asked for is not there. */
  notFound: 4,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Ends a command with an exit code and a sentence for the user. */
export class CommandError extends Error {
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
    this.exitCode = exitCode
  }
}

const NOT_FOUND_CODES: readonly string[] = ['not_found', 'unknown_counter', 'no_series']

/** The exit code for an error with a code of core/errors.ts. */
export function exitCodeOf(code: string): ExitCode {
  if (code === 'invalid_settings') return EXIT.usage
  if (code === 'store_locked' || code === 'shutting_down') return EXIT.unreachable
  if (NOT_FOUND_CODES.includes(code)) return EXIT.notFound
  return EXIT.failed
}

/** How an error that ended a command is told: the exit code, a sentence, and the code where there is one. */
export interface Failure {
  readonly exitCode: ExitCode
  readonly message: string
  readonly code?: string
}

/** What an error that ended a command means to the user. Errors without a sentence of their own keep their stack. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommandError) {
    const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {}
    return { exitCode: error.exitCode, message: error.message, ...code }
  }
  if (error instanceof TallyError) {
    return { exitCode: exitCodeOf(error.code), message: error.message, code: error.code }
  }
  if (error instanceof Error && 'syscall' in error) return { exitCode: EXIT.failed, message: error.message }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { exitCode: EXIT.failed, message: `an unexpected error: ${message}` }
}
