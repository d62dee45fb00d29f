import type { Command } from 'commander'
import { examples, listArgument } from './arguments.ts'
import type { BackupOptions } from './backup.ts'
import { accessFlags, serviceFlags } from './flags.ts'
import type { Run } from './invocation.ts'
import type { KeyCreateOptions } from './key.ts'
import type { RestoreOptions } from './restore.ts'

/** The commands that run a service and look after it. */
export function serviceCommands(program: Command, run: Run): void {
  serviceFlags(program.command('serve'))
    .description('run the service until SIGTERM or SIGINT')
    .addHelpText(
      'after',
      examples('tally serve', 'tally serve --port 9000 --store sqlite:/var/lib/tally/tally.db'),
    )
    .action(async (_options: unknown, command: Command) =>
      run(command, async (invocation) => (await import('./serve.ts')).runServe(invocation)),
    )
  configCommands(program, run)
  keyCommands(program, run)
  serviceFlags(program.command('doctor'))
    .description('check settings, files, disk, clock, store and ledger, and say what to do')
    .addHelpText('after', examples('tally doctor', 'tally doctor --json'))
    .action(async (_options: unknown, command: Command) =>
      run(command, async (invocation) => (await import('./doctor.ts')).runDoctor(invocation)),
    )
  copyCommands(program, run)
  program
    .command('bench')
    .description('measure this machine against references of the same run')
    .argument('[ARGUMENTS...]', 'handed on to the benchmark (default: --quick)')
    .allowUnknownOption()
    .addHelpText('after', examples('tally bench', 'tally bench -- --help'))
    .action(async (rest: string[], _options: unknown, command: Command) =>
      run(command, async (invocation) => (await import('./bench.ts')).runBench(invocation, rest)),
    )
}

function configCommands(program: Command, run: Run): void {
  const config = program.command('config').description('check or show the settings')
  serviceFlags(config.command('check'))
    .description('tell everything that is wrong with the settings')
    .addHelpText('after', examples('tally config check', 'tally config check --config /etc/tally/tally.yaml'))
    .action(async (_options: unknown, command: Command) =>
      run(command, async (invocation) => (await import('./config.ts')).runConfigCheck(invocation)),
    )
  serviceFlags(config.command('show'))
    .description('show every setting, and where it comes from')
    .addHelpText('after', examples('tally config show', 'TALLY_PORT=9000 tally config show --json'))
    .action(async (_options: unknown, command: Command) =>
      run(command, async (invocation) => (await import('./config.ts')).runConfigShow(invocation)),
    )
}

function keyCommands(program: Command, run: Run): void {
  const key = program.command('key').description('make, list and revoke API keys')
  accessFlags(key.command('create'))
    .description('make an API key; its secret is shown once and kept nowhere')
    .argument('<NAME>', 'what it is for')
    .option('--scopes <SCOPES>', 'write, read, admin; commas between them', listArgument, ['read', 'write'])
    .addHelpText(
      'after',
      examples('tally key create shop --scopes write', 'tally key create ops --scopes admin --json'),
    )
    .action(async (name: string, options: KeyCreateOptions, command: Command) =>
      run(command, async (invocation) => (await import('./key.ts')).runKeyCreate(invocation, name, options)),
    )
  accessFlags(key.command('list'))
    .description('list the API keys')
    .addHelpText('after', examples('tally key list'))
    .action(async (_options: unknown, command: Command) =>
      run(command, async (invocation) => (await import('./key.ts')).runKeyList(invocation)),
    )
  accessFlags(key.command('revoke'))
    .description('take an API key back, at once')
    .argument('<ID>', 'its id, as listed')
    .addHelpText('after', examples('tally key revoke 0123456789abcdef'))
    .action(async (id: string, _options: unknown, command: Command) =>
      run(command, async (invocation) => (await import('./key.ts')).runKeyRevoke(invocation, id)),
    )
}

function copyCommands(program: Command, run: Run): void {
  accessFlags(program.command('backup'))
    .description('write a consistent copy of the store, also while the service runs')
    .argument('<FILE>', 'the new file')
    .option('--force', 'replace the file if it is there')
    .addHelpText('after', examples('tally backup /backups/tally-2026-11-21.db'))
    .action(async (file: string, options: BackupOptions, command: Command) =>
      run(command, async (invocation) => (await import('./backup.ts')).runBackup(invocation, file, options)),
    )
  accessFlags(program.command('restore'))
    .description('put a backup in the place of the store; the service must be stopped')
    .argument('<FILE>', 'the backup; it is checked first and stays as it is')
    .option('--force', 'replace a store that is there; it is kept beside under another name')
    .addHelpText('after', examples('tally restore /backups/tally-2026-11-21.db --force'))
    .action(async (file: string, options: RestoreOptions, command: Command) =>
      run(command, async (invocation) =>
        (await import('./restore.ts')).runRestore(invocation, file, options),
      ),
    )
}
