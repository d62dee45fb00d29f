/** What a key or token may do. `admin` includes the others. */
export type Scope = 'write' | 'read' | 'admin'

export const SCOPES: readonly Scope[] = ['write', 'read', 'admin']

/** Who asks, as far as it matters here. */
export interface Access {
  /** Stable and without secrets: `open`, `key:<id>`, `token:<subject>`. Scopes Idempotency-Keys and rate limits. */
  readonly principal: string
  /** When it ends, milliseconds since the epoch; never, if it is undefined. Ends live connections too. */
  readonly expiresMs?: number
  allows(scope: Scope): boolean
  /** A token may be limited to some keys of some counters; `key` undefined asks for the whole counter. */
  mayRead(counter: string, key: string | undefined): boolean
}

/** Everything is allowed: a service on a loopback address, or `auth: none`. */
export const OPEN_ACCESS: Access = { principal: 'open', allows: () => true, mayRead: () => true }
