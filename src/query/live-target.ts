import type { Access } from '../core/access.ts'
import type { Counters } from '../core/counter.ts'
import { TallyError } from '../core/errors.ts'
import { LIVE_KEYS_PER_SUBSCRIBER_MAX } from '../core/limits.ts'
import { assertKey, assertMayRead, declaredCounter } from './parameters.ts'

/** Keys of one counter to watch. */
export interface LiveTarget {
  readonly counter: string
  readonly keys: readonly string[]
}

/** The parameters of `GET /v1/live`, each as often as it was given. */
export interface LiveQuery {
  readonly counter?: readonly string[]
  readonly key?: readonly string[]
}

/**
 * What the parameters name: one counter with any number of keys, or as many counters as keys, paired in their
 * order; nothing where both are missing. Throws `invalid_parameter`.
 */
export function liveTargets({ counter: counters = [], key: keys = [] }: LiveQuery): LiveTarget[] {
  const [only, ...others] = counters
  if (only !== undefined && others.length === 0 && keys.length > 0) return [{ counter: only, keys }]
  if (counters.length === keys.length)
    return counters.map((counter, at) => ({ counter, keys: [keys[at] ?? ''] }))
  throw new TallyError('invalid_parameter', 'The counters and keys do not pair up', {
    at: keys.length < counters.length ? 'key' : 'counter',
    expected: 'one counter with its keys, or a counter before each key',
    got: `${counters.length} counters and ${keys.length} keys`,
  })
}

/** Throws `unknown_counter`, `invalid_parameter` or `forbidden` unless all of it may be watched. */
export function assertMayWatch({ counter, keys }: LiveTarget, access: Access, counters: Counters): void {
  declaredCounter(counters, counter)
  if (keys.length > LIVE_KEYS_PER_SUBSCRIBER_MAX) {
    throw new TallyError('invalid_parameter', 'One connection would watch too many keys', {
      at: 'keys',
      expected: `at most ${LIVE_KEYS_PER_SUBSCRIBER_MAX} keys`,
      got: `${keys.length} keys`,
    })
  }
  for (const key of keys) {
    assertKey(key, 'key')
    assertMayRead(access, counter, key)
  }
}
