import { readFileSync } from 'node:fs'
import { shown, TallyError } from '../core/errors.ts'
import { readSettingsFile, type SettingsFile } from './file.ts'
import { nearest } from './nearest.ts'
import {
  CLIENT_OPTIONS,
  type ClientSettings,
  CONFIG_ENV,
  CONFIG_FILE_DEFAULT,
  CONFIG_FLAG,
  type LogLevel,
  OPTIONS,
  type Option,
  type Settings,
} from './options.ts'
import { type Input, problemLine, type SettingProblem } from './problem.ts'

export type { ClientSettings, LogLevel, SettingProblem, Settings }

type Environment = Readonly<Record<string, string | undefined>>

/** Where settings come from; flags win over variables, variables over the file. */
export interface SettingSources {
  /** Values of flags, by the flag: `{ '--port': '9000' }`. */
  readonly flags?: Readonly<Record<string, string>>
  /** Variables; those of the process if left out. */
  readonly env?: Environment
  /** The file; if left out, `--config`, TALLY_CONFIG, or `tally.yaml` in the working directory if it exists. */
  readonly file?: string
}

/** What came of reading the sources. */
export interface SettingsCheck {
  /** Undefined if there are problems. */
  readonly settings: Settings | undefined
  readonly client: ClientSettings
  readonly problems: readonly SettingProblem[]
  /** Where each setting comes from: `tally.yaml:3`, `TALLY_PORT`, `--port` or `default`. */
  readonly origins: Readonly<Record<keyof Settings, string>>
  /** The file that was read, if there was one. */
  readonly file: string | undefined
}

/** Resolves the settings. Throws `invalid_settings` with all problems in its message, one a line. */
export function loadSettings(sources: SettingSources = {}): Settings {
  const { settings, problems } = checkSettings(sources)
  if (settings === undefined) {
    throw new TallyError('invalid_settings', problems.map(problemLine).join('\n'))
  }
  return settings
}

/** Resolves the settings and tells every problem at once, also of values that another source overrides. */
export function checkSettings(sources: SettingSources = {}): SettingsCheck {
  const reader = new SettingsReader(sources)
  const settings = Object.fromEntries(
    Object.entries(OPTIONS).map(([name, option]) => [name, reader.read(name, option as Option<unknown>)]),
  ) as unknown as Settings
  const client = Object.fromEntries(
    Object.entries(CLIENT_OPTIONS).map(([name, option]) => [
      name,
      reader.read(name, option as Option<unknown>),
    ]),
  ) as unknown as ClientSettings
  reader.refuseUnknown()
  if (reader.problems.length === 0) reader.compare(settings)
  return {
    settings: reader.problems.length === 0 ? settings : undefined,
    client,
    problems: reader.problems,
    origins: reader.origins as Record<keyof Settings, string>,
    file: reader.file?.file,
  }
}

/** A value as one source gives it. */
interface Given {
  readonly raw: unknown
  readonly source: string
  readonly locate?: (path: readonly string[]) => string
}

/** Reads one option after the other from all sources and gathers what is wrong. */
class SettingsReader {
  readonly problems: SettingProblem[] = []
  readonly origins: Record<string, string> = {}
  readonly file: SettingsFile | undefined
  private readonly flags: Readonly<Record<string, string>>
  private readonly env: Environment

  constructor(sources: SettingSources) {
    this.flags = sources.flags ?? {}
    this.env = sources.env ?? process.env
    const asked = sources.file ?? this.flags[CONFIG_FLAG] ?? (this.env[CONFIG_ENV] || undefined)
    const { found, problems } = readSettingsFile(asked ?? CONFIG_FILE_DEFAULT, asked !== undefined)
    this.problems.push(...problems)
    this.file = found
  }

  /** The value of an option: of the first source that has one, after all of them were checked. */
  read<T>(name: string, option: Option<T>): T {
    let chosen: T | undefined
    this.origins[name] = 'default'
    for (const given of this.given(option)) {
      const value = option.parse(this.input(option, given))
      if (chosen !== undefined || value === undefined) continue
      chosen = value
      this.origins[name] = given.source
    }
    return chosen ?? option.fallback
  }

  /** What the sources say of an option, the strongest first. */
  private given(option: Option<unknown>): Given[] {
    const { flag, env, key } = option
    const given: Given[] = []
    const flagText = flag === undefined ? undefined : this.flags[flag]
    if (flag !== undefined && flagText !== undefined) given.push({ raw: flagText, source: flag })
    if (option.isSecret) this.addSecretFile(given, secretFileFlag(option), this.flags[secretFileFlag(option)])
    const envText = this.env[env]
    if (envText) given.push({ raw: envText, source: env })
    if (option.isSecret) {
      const fileEnv = `${env}_FILE`
      if (envText && this.env[fileEnv]) {
        this.problems.push({
          source: fileEnv,
          key: key ?? env,
          expected: `only one of ${env} and ${fileEnv}`,
        })
      }
      this.addSecretFile(given, fileEnv, this.env[fileEnv])
    }
    const { file } = this
    if (file !== undefined && key !== undefined && file.values.has(key)) {
      const locate = (path: readonly string[]): string => file.locate([key, ...path])
      given.push({ raw: file.values.get(key), source: locate([]), locate })
    }
    return given
  }

  /** Secrets handed over as files end with a line break more often than not; it is not part of them. */
  private addSecretFile(given: Given[], source: string, file: string | undefined): void {
    if (!file) return
    try {
      given.push({ raw: readFileSync(file, 'utf8').replace(/\r?\n$/, ''), source })
    } catch {
      this.problems.push({ source, key: '(file)', expected: 'the path of a file that can be read' })
    }
  }

  private input(option: Option<unknown>, given: Given): Input {
    return {
      raw: given.raw,
      refuse: ({ path = [], ...problem }) => {
        this.problems.push({
          source: given.locate?.(path) ?? given.source,
          key: [option.key ?? option.flag ?? option.env, ...path].join('.'),
          ...problem,
        })
        return undefined
      },
    }
  }

  /** Keys of the file and variables that nobody reads: misspelt, or of another version. */
  refuseUnknown(): void {
    const options = [...Object.values(OPTIONS), ...Object.values(CLIENT_OPTIONS)] as Option<unknown>[]
    const keys = options.flatMap(({ key }) => (key === undefined ? [] : [key]))
    for (const key of this.file?.values.keys() ?? []) {
      if (keys.includes(key)) continue
      const expected =
        key === 'sources' ? 'no sources (this version captures no databases)' : 'a known setting'
      this.refuseName(this.file?.locate([key]) ?? '', key, expected, keys)
    }
    const secretFiles = options.filter(({ isSecret }) => isSecret).map(({ env }) => `${env}_FILE`)
    const variables = [CONFIG_ENV, ...options.map(({ env }) => env), ...secretFiles]
    for (const name of Object.keys(this.env)) {
      if (name.startsWith('TALLY_') && !variables.includes(name)) {
        this.refuseName('environment', name, 'a known variable', variables)
      }
    }
  }

  private refuseName(source: string, key: string, expected: string, known: readonly string[]): void {
    const suggestion = nearest(key, known)
    this.problems.push({ source, key, expected, ...(suggestion === undefined ? {} : { suggestion }) })
  }

  /** What no single option can tell. Called when each of them is right. */
  compare(settings: Settings): void {
    const { counters, statsCounter, tlsCertFile, tlsKeyFile } = settings
    if (!counters.has(statsCounter)) {
      this.problems.push({
        source: this.origins.statsCounter ?? '',
        key: 'statsCounter',
        expected: `one of the declared counters (${[...counters.keys()].join(', ')})`,
        got: shown(statsCounter),
      })
    }
    if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined)) {
      const given = tlsCertFile === undefined ? 'tlsKeyFile' : 'tlsCertFile'
      this.problems.push({
        source: this.origins[given] ?? '',
        key: given,
        expected: 'tlsCertFile and tlsKeyFile together, or neither',
      })
    }
  }
}

/** The flag that takes the place of a secret's own. */
export function secretFileFlag(option: Option<unknown>): string {
  return `--${option.env.slice('TALLY_'.length).toLowerCase().replaceAll('_', '-')}-file`
}
