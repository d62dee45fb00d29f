import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Access, Scope } from '../core/access.ts'
import { SCOPES } from '../core/access.ts'
import type { KeyStore, StoredKey } from '../store/store.ts'

/** Tells a key from a token at a glance, to the service and to scanners for leaked secrets. */
export const API_KEY_PREFIX = 'tally_'
const ID_BYTES = 8
const SECRET_BYTES = 32

/** A new key with its secret, which exists nowhere else and is shown once. */
export interface CreatedKey {
  readonly id: string
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly createdMs: number
  /** The whole text a client sends: `tally_<id>_<secret>`. */
  readonly key: string
}

/** A key as it may be listed: nothing of it opens anything. */
export type ListedKey = Omit<CreatedKey, 'key'>

/** The API keys of a store, held in memory so that a request is checked without asking it. */
export interface ApiKeys {
  /** Durable when it resolves. */
  create(name: string, scopes: readonly Scope[]): Promise<CreatedKey>
  /** In the order of their creation. */
  list(): ListedKey[]
  /** True if there was such a key; once it resolves no request gets in with it. */
  revoke(id: string): Promise<boolean>
  /** What the holder of this text may do, or undefined if it is not a key of this store. */
  authenticate(key: string): Access | undefined
}

interface HeldKey {
  readonly listed: ListedKey
  /** The hex digits of the stored hash, to be compared in constant time. */
  readonly hash: Buffer
  readonly access: Access
}

/** Opens the keys of a store. One process owns an embedded store, so memory and store can't disagree. */
export async function openApiKeys(store: KeyStore, now: () => number): Promise<ApiKeys> {
  const held = new Map<string, HeldKey>()
  for (const stored of await store.list()) held.set(stored.id, hold(stored))

  return {
    async create(name, scopes) {
      const id = randomBytes(ID_BYTES).toString('hex')
      const secret = randomBytes(SECRET_BYTES).toString('base64url')
      const stored: StoredKey = { id, name, scopes, hash: digest(secret), createdMs: now() }
      await store.add(stored)
      const key = hold(stored)
      held.set(id, key)
      return { ...key.listed, key: `${API_KEY_PREFIX}${id}_${secret}` }
    },
    list: () => [...held.values()].map((key) => key.listed).sort((a, b) => a.createdMs - b.createdMs),
    async revoke(id) {
      held.delete(id)
      return store.revoke(id)
    },
    authenticate(key) {
      const border = key.indexOf('_', API_KEY_PREFIX.length)
      if (border < 0 || !key.startsWith(API_KEY_PREFIX)) return undefined
      const found = held.get(key.slice(API_KEY_PREFIX.length, border))
      const presented = Buffer.from(digest(key.slice(border + 1)), 'latin1')
      if (found === undefined || found.hash.length !== presented.length) return undefined
      return timingSafeEqual(presented, found.hash) ? found.access : undefined
    },
  }
}

/**
 * A plain hash is enough: the secret is 256 random bits, which no dictionary holds, so a slow password hash
 * would only slow down every request.
 */
function digest(secret: string): string {
  // As hex: a Buffer from here was measured to take half as long again.
  return hash('sha256', secret, 'hex')
}

function hold(stored: StoredKey): HeldKey {
  const scopes = SCOPES.filter((scope) => stored.scopes.includes(scope))
  const allowed = new Set<Scope>(scopes.includes('admin') ? SCOPES : scopes)
  return {
    listed: { id: stored.id, name: stored.name, scopes, createdMs: stored.createdMs },
    hash: Buffer.from(stored.hash, 'latin1'),
    access: {
      principal: `key:${stored.id}`,
      allows: (scope) => allowed.has(scope),
      mayRead: () => allowed.has('read'),
    },
  }
}
