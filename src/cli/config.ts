import { formatDuration } from '../settings/duration.ts'
import { OPTIONS } from '../settings/options.ts'
import { withoutPassword } from '../settings/parsers.ts'
import { problemLine } from '../settings/problem.ts'
import { checkSettings, type Settings } from '../settings/settings.ts'
import { commandSettings } from './access.ts'
import { EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'
import { table } from './terminal.ts'

/** `tally config check`: every problem, one a line. */
export async function runConfigCheck({ terminal, sources }: Invocation): Promise<ExitCode> {
  const { problems, file } = checkSettings(sources)
  terminal.result({ ok: problems.length === 0, ...(file === undefined ? {} : { file }), problems }, () =>
    problems.length === 0
      ? `The settings are right${file === undefined ? ' (there is no file)' : ` (${file})`}.`
      : problems.map(problemLine).join('\n'),
  )
  return problems.length === 0 ? EXIT.ok : EXIT.usage
}

/** `tally config show`: every setting with its source. Secrets are never shown. */
export async function runConfigShow({ terminal, sources }: Invocation): Promise<ExitCode> {
  const { settings } = commandSettings(sources)
  const { origins } = checkSettings(sources)
  const shown = Object.entries(OPTIONS).map(([name, option]) => {
    const value = settings[name as keyof Settings]
    return {
      key: option.key ?? name,
      value: option.isSecret && value !== undefined ? '(secret)' : plain(value, option.placeholder),
      source: origins[name as keyof Settings],
    }
  })
  terminal.result(shown, () =>
    table(
      ['setting', 'value', 'from'],
      shown.map(({ key, value, source }) => [key, value === undefined ? '-' : text(value), source]),
    ),
  )
  return EXIT.ok
}

/** A setting as it would be written, as far as JSON can say it. */
function plain(value: Settings[keyof Settings], placeholder: string): unknown {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([name, { name: _, ...fields }]) => [name, fields]))
  }
  if (typeof value === 'number' && placeholder === 'DURATION') return formatDuration(value)
  return typeof value === 'string' ? withoutPassword(value) : value
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
