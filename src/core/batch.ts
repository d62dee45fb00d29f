import type { Position } from './position.ts'

/** Something that happened, validated. */
export interface CountEvent {
  readonly counter: string
  readonly key: string
  /** A whole number of at most DELTA_MAX in either direction. */
  readonly delta: number
  /** When it happened, milliseconds since the epoch. */
  readonly timeMs: number
  /** Unique per event; a second event with the same id for the same counter is a duplicate. */
  readonly id: string | undefined
}

/** What makes a whole request repeatable: RFC draft "The Idempotency-Key HTTP Header Field". */
export interface Idempotency {
  /** The key, already scoped to whoever sent it. */
  readonly key: string
  /** SHA-256 of the request (route and body), base64url. */
  readonly fingerprint: string
}

/** The events of one request: counted whole or refused whole. */
export interface Submission {
  readonly events: readonly CountEvent[]
  readonly idempotency?: Idempotency
}

/** What arrived in the same moment, for one transaction. */
export interface Batch {
  /** The ledger's line these events belong to. */
  readonly stream: string
  readonly submissions: readonly Submission[]
  /** Events refused since the last batch; kept for the ledger only. */
  readonly rejected: number
}

export interface Counts {
  readonly received: number
  readonly counted: number
  readonly duplicate: number
}

/** What became of one submission. */
export type Outcome =
  | ({ readonly kind: 'counted' } & Counts)
  /** The same Idempotency-Key and body came before: the counts and the position of then. */
  | ({ readonly kind: 'replayed'; readonly position: Position } & Counts)
  /** The same Idempotency-Key came before with another body; nothing was counted. */
  | { readonly kind: 'mismatch' }
  /** The value of a key would leave the exact range; nothing of the submission was counted. */
  | { readonly kind: 'out-of-range'; readonly index: number }

/** A key whose value changed. */
export interface ChangedKey {
  readonly counter: string
  readonly key: string
}

export interface Applied {
  /** Everything up to here, this batch included, is durable. */
  readonly position: Position
  /** One outcome for each submission, in their order. */
  readonly outcomes: Outcome[]
  readonly changed: ChangedKey[]
}

/** One line of the ledger: received = counted + duplicate + rejected + pending. */
export interface LedgerLine {
  readonly stream: string
  readonly received: number
  readonly counted: number
  readonly duplicate: number
  readonly rejected: number
  readonly pending: number
}
