import { type Command, Option as Flag } from 'commander'
import { CLIENT_OPTIONS, CONFIG_FLAG, OPTIONS, type Option } from '../settings/options.ts'
import { type SettingSources, secretFileFlag } from '../settings/settings.ts'

/** Adds the flags of settings to a command. */
function settingFlags(command: Command, options: readonly Option<never>[]): Command {
  for (const option of options) {
    const { flag, placeholder, help, fallbackText, isSecret } = option
    const fallback = fallbackText === '' ? '' : ` (default: ${fallbackText})`
    if (flag !== undefined) command.addOption(new Flag(`${flag} <${placeholder}>`, `${help}${fallback}`))
    else if (isSecret) command.addOption(new Flag(`${secretFileFlag(option)} <FILE>`, `a file with: ${help}`))
  }
  return command
}

/** The flags of the commands that read or write counts: which store, or which server. */
export function accessFlags(command: Command): Command {
  const { store } = OPTIONS
  const { url, apiKey } = CLIENT_OPTIONS
  return settingFlags(command, [store, url, apiKey] as unknown as Option<never>[])
}

/** The flags of all settings of the service. */
export function serviceFlags(command: Command): Command {
  return settingFlags(command, Object.values(OPTIONS) as unknown as Option<never>[])
}

/** The settings among the values that the command line was parsed into. */
export function sourcesOf(values: Readonly<Record<string, unknown>>): SettingSources {
  const options = [...Object.values(OPTIONS), ...Object.values(CLIENT_OPTIONS)] as Option<never>[]
  const known = [CONFIG_FLAG, ...options.map((option) => option.flag ?? secretFileFlag(option))]
  const flags: Record<string, string> = {}
  for (const flag of known) {
    const value = values[new Flag(`${flag} <value>`).attributeName()]
    if (typeof value === 'string') flags[flag] = value
  }
  return { flags }
}
