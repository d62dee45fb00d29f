import type { Command } from 'commander'
import type { SettingSources } from '../settings/settings.ts'
import type { ExitCode } from './exit.ts'
import type { Terminal } from './terminal.ts'

/** What every command is given beside its own arguments. */
export interface Invocation {
  readonly terminal: Terminal
  /** The settings of the command line; variables and the file are found by themselves. */
  readonly sources: SettingSources
}

/** Runs a command; its module is loaded when it is. */
export type Run = (command: Command, body: (invocation: Invocation) => Promise<ExitCode>) => Promise<void>
