import { randomUUID } from 'node:crypto'
import type { JWTPayload } from 'jose'
import type { Access } from '../core/access.ts'
import { TOKEN_LIFETIME_MS_MAX, TOKENS_CACHED_MAX } from '../core/limits.ts'

const ALGORITHM = 'HS256'
/** Clocks of the minting and of the checking machine may differ by this much. */
const CLOCK_TOLERANCE_S = 5

/** Keys of one counter; without `keys`, all of them. */
export interface ReadGrant {
  readonly counter: string
  readonly keys?: readonly string[]
}

/** Tokens that let a browser read given keys of given counters (JWT, RFC 7519; HS256 only, RFC 8725). */
export interface Tokens {
  /** Signs a token; `lifetimeMs` at most TOKEN_LIFETIME_MS_MAX. */
  mint(grants: readonly ReadGrant[], lifetimeMs: number): Promise<{ token: string; expiresMs: number }>
  /** What the token allows if it was checked before and has not expired since; costs one look-up. */
  known(token: string): TokenAccess | undefined
  /** Checks the token; undefined unless its signature, algorithm, lifetime and claims are all right. */
  check(token: string): Promise<TokenAccess | undefined>
}

/** The access of a token: read only, and of some keys only. */
export interface TokenAccess extends Access {
  readonly expiresMs: number
}

/** `secret` is at least 32 bytes; whoever knows it can sign tokens of their own. */
export function createTokens(secret: Uint8Array, now: () => number): Tokens {
  const checked = new Map<string, TokenAccess>()

  return {
    async mint(grants, lifetimeMs) {
      const issuedS = Math.floor(now() / 1_000)
      const expiresS = issuedS + Math.floor(lifetimeMs / 1_000)
      const { SignJWT } = await import('jose')
      const token = await new SignJWT({ tally: { read: grants } })
        .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
        .setIssuedAt(issuedS)
        .setExpirationTime(expiresS)
        .setJti(randomUUID())
        .sign(secret)
      return { token, expiresMs: expiresS * 1_000 }
    },
    known(token) {
      const access = checked.get(token)
      if (access === undefined || access.expiresMs > now()) return access
      checked.delete(token)
      return undefined
    },
    async check(token) {
      const payload = await verified(token, secret, now())
      const access = payload === undefined ? undefined : accessOf(payload, now())
      if (access === undefined) return undefined
      // The oldest goes first; a token that is dropped too early is only checked once more.
      const [oldest] = checked.keys()
      if (checked.size >= TOKENS_CACHED_MAX && oldest !== undefined) checked.delete(oldest)
      checked.set(token, access)
      return access
    },
  }
}

async function verified(token: string, secret: Uint8Array, nowMs: number): Promise<JWTPayload | undefined> {
  // Loaded when a token first comes, as most services never see one.
  const { jwtVerify } = await import('jose')
  try {
    const { payload } = await jwtVerify(token, secret, {
      algorithms: [ALGORITHM],
      clockTolerance: CLOCK_TOLERANCE_S,
      currentDate: new Date(nowMs),
    })
    return payload
  } catch {
    // Which of the checks failed is of use to an attacker only.
    return undefined
  }
}

function accessOf(payload: JWTPayload, nowMs: number): TokenAccess | undefined {
  const { exp, sub, jti, tally } = payload
  if (exp === undefined) return undefined
  const expiresMs = (exp + CLOCK_TOLERANCE_S) * 1_000
  // A token can't be revoked, so one that lives long is refused even though its signature is right.
  if (expiresMs - nowMs > TOKEN_LIFETIME_MS_MAX + 2 * CLOCK_TOLERANCE_S * 1_000) return undefined
  const grants = grantsOf(tally)
  if (grants === undefined) return undefined
  return {
    principal: `token:${sub ?? jti ?? 'anonymous'}`,
    expiresMs,
    allows: (scope) => scope === 'read',
    mayRead(counter, key) {
      const keys = grants.get(counter)
      return keys === 'all' || (keys !== undefined && key !== undefined && keys.has(key))
    },
  }
}

/** Keys by counter from the claim `tally`; undefined if it has another shape. */
function grantsOf(claim: unknown): Map<string, ReadonlySet<string> | 'all'> | undefined {
  if (typeof claim !== 'object' || claim === null || !('read' in claim)) return undefined
  if (!Array.isArray(claim.read)) return undefined
  const grants = new Map<string, Set<string> | 'all'>()
  for (const grant of claim.read as unknown[]) {
    if (typeof grant !== 'object' || grant === null) return undefined
    if (!('counter' in grant) || typeof grant.counter !== 'string') return undefined
    const earlier = grants.get(grant.counter)
    if (!('keys' in grant) || grant.keys === undefined) {
      grants.set(grant.counter, 'all')
      continue
    }
    if (!Array.isArray(grant.keys) || !grant.keys.every((key) => typeof key === 'string')) return undefined
    if (earlier !== 'all') grants.set(grant.counter, new Set([...(earlier ?? []), ...grant.keys]))
  }
  return grants
}
