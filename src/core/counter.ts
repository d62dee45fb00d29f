import { NAME_CHARS_MAX } from './limits.ts'

/** Where the parts of a CloudEvent are found that feed a counter. */
export interface CloudEventMapping {
  /** The CloudEvents `type` that feeds this counter. */
  readonly type: string
  /** `subject`, or a dotted path into `data` such as `data.banner.id`. */
  readonly key: string
  /** A dotted path into `data`; without it each event counts 1. */
  readonly delta?: string
}

/** A named family of numbers, declared in the configuration. */
export interface Counter {
  readonly name: string
  readonly from: 'events'
  /** `minute`: keep a series per minute, rolled up to hours and days. `none`: keep values only. */
  readonly series: 'minute' | 'none'
  readonly cloudEvents?: CloudEventMapping
}

/** The declared counters by name; a counter that is not in here is refused. */
export type Counters = ReadonlyMap<string, Counter>

/** Letters, digits, `_` and `-`, starting with a letter. */
export const COUNTER_NAME_PATTERN = `^[A-Za-z][A-Za-z0-9_-]{0,${NAME_CHARS_MAX - 1}}$`

/** The counter a service without any configuration starts with. */
export const DEFAULT_COUNTER: Counter = { name: 'clicks', from: 'events', series: 'minute' }
