import { type Command, Option as Flag } from 'commander'
import { PAGE_LIMIT_MAX } from '../core/limits.ts'
import { WINDOW_WIDTHS } from '../core/windows.ts'
import { examples, wholeNumberArgument } from './arguments.ts'
import { accessFlags } from './flags.ts'
import { IMPORT_FORMATS } from './import/format.ts'
import type { ImportOptions } from './import/import.ts'
import type { Run } from './invocation.ts'
import type { SeriesOptions } from './series.ts'
import type { TopOptions } from './top.ts'

/** The commands that read and write counts. All of them speak the HTTP API, with or without a server. */
export function countCommands(program: Command, run: Run): void {
  importCommand(program, run)
  getCommand(program, run)
  seriesCommand(program, run)
  topCommand(program, run)
  accessFlags(program.command('ledger'))
    .description('show what became of every event, and whether it adds up')
    .addHelpText(
      'after',
      examples('tally ledger', 'tally ledger --json', 'tally ledger --url http://127.0.0.1:8080'),
    )
    .action(async (_options: unknown, command: Command) =>
      run(command, async (invocation) => (await import('./ledger.ts')).runLedger(invocation)),
    )
}

function importCommand(program: Command, run: Run): void {
  accessFlags(program.command('import'))
    .description('count the lines of a log, of NDJSON or of CSV; run again, it counts nothing twice')
    .argument('<FILE>', 'the file, also with .gz at its end; - reads stdin')
    .addOption(new Flag('--format <FORMAT>', 'what the file is').choices(IMPORT_FORMATS).default('combined'))
    .option('--counter <NAME>', 'the counter to count in (default: clicks; of NDJSON, the member counter)')
    .option(
      '--key <FIELD>',
      'whose count it is: path, ip, status, method, user, referer or agent of a log (default: path); a column of CSV, a member of NDJSON (default: key)',
    )
    .option('--time <FIELD>', 'the column or member with the time (default: time, if there is one)')
    .option('--delta <FIELD>', 'the column or member to add; bytes of a log (default: 1 a line)')
    .option('--delimiter <CHARACTER>', 'between the columns of CSV', ',')
    .option('--source <NAME>', 'tells logs of several machines apart, where lines may be equal', '')
    .option('--strict', 'exit with 1 if a line was skipped')
    .addHelpText(
      'after',
      examples(
        'tally import access.log',
        'tally import access.log.2.gz --counter visits --key ip --source web1',
        'tally import orders.csv --format csv --counter sold --key product --time paid_at --delta pieces',
        'tail -n +1 -f events.ndjson | tally import - --format ndjson',
      ),
    )
    .action(async (file: string, options: ImportOptions, command: Command) =>
      run(command, async (invocation) =>
        (await import('./import/import.ts')).runImport(invocation, file, options),
      ),
    )
}

function getCommand(program: Command, run: Run): void {
  accessFlags(program.command('get'))
    .description('show the values of keys')
    .argument('<COUNTER>')
    .argument('<KEY...>')
    .addHelpText('after', examples('tally get clicks 7', 'tally get clicks /favicon.ico /style2.css --json'))
    .action(async (counter: string, keys: string[], _options: unknown, command: Command) =>
      run(command, async (invocation) => (await import('./get.ts')).runGet(invocation, counter, keys)),
    )
}

function seriesCommand(program: Command, run: Run): void {
  accessFlags(program.command('series'))
    .description('draw what a key counted over time')
    .argument('<COUNTER>')
    .argument('<KEY>')
    .option(
      '--from <MOMENT>',
      'instant, date, or how long ago (default: an hour, a day or 30 days before --to)',
    )
    .option('--to <MOMENT>', 'the end, not included (default: now)')
    .addOption(new Flag('--window <WIDTH>', 'one bucket').choices(WINDOW_WIDTHS).default('minute'))
    .option('--tz <ZONE>', 'the time zone of days and hours', 'UTC')
    .addOption(new Flag('--csv', 'print CSV').conflicts('json'))
    .addHelpText(
      'after',
      examples(
        'tally series clicks 7',
        'tally series clicks 7 --from 7d --window hour',
        'tally series clicks /favicon.ico --from 2015-05-17 --to 2015-05-21 --window hour --tz Europe/Berlin',
        'tally series clicks 7 --from 30d --window day --csv > days.csv',
      ),
    )
    .action(async (counter: string, key: string, options: SeriesOptions, command: Command) =>
      run(command, async (invocation) =>
        (await import('./series.ts')).runSeries(invocation, { counter, key }, options),
      ),
    )
}

function topCommand(program: Command, run: Run): void {
  accessFlags(program.command('top'))
    .description('show the keys that counted most')
    .argument('<COUNTER>')
    .option('--limit <NUMBER>', 'how many', wholeNumberArgument(1, PAGE_LIMIT_MAX), 10)
    .option('--from <MOMENT>', 'only what was counted from then on')
    .option('--to <MOMENT>', 'only what was counted before')
    .option('--tz <ZONE>', 'the time zone of dates without a time', 'UTC')
    .addHelpText(
      'after',
      examples('tally top clicks', 'tally top clicks --limit 3 --from 1d', 'tally top clicks --json'),
    )
    .action(async (counter: string, options: TopOptions, command: Command) =>
      run(command, async (invocation) => (await import('./top.ts')).runTop(invocation, counter, options)),
    )
}
