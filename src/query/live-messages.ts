import { shown, TallyError } from '../core/errors.ts'
import type { LiveTarget } from './live-target.ts'

/** What a client gave to recognise the answer by. */
export type MessageRef = string | number

/** A message from a client, as far as the connection has to understand it. */
export type ClientMessage =
  | ({ readonly type: 'subscribe' | 'unsubscribe'; readonly ref: MessageRef | undefined } & LiveTarget)
  /** The event itself is read by intake, from the text. */
  | { readonly type: 'event'; readonly ref: MessageRef | undefined }

const TYPES = ['subscribe', 'unsubscribe', 'event']
const TARGET_MEMBERS = ['type', 'ref', 'counter', 'keys']
const REF_CHARS_MAX = 64

/** An error, and the `ref` of the message it is about if that much could be read. */
export interface MessageFault {
  readonly error: TallyError
  readonly ref: MessageRef | undefined
}

/** Reads a text message. Errors: `malformed_json`, `invalid_parameter` with the place. */
export function readMessage(text: string): ClientMessage | MessageFault {
  let ref: MessageRef | undefined
  try {
    const message = parseObject(text)
    ref = readRef(message.ref)
    const { type } = message
    if (type === 'event') return { type, ref }
    if (type === 'subscribe' || type === 'unsubscribe') return { type, ref, ...readTarget(message) }
    throw invalid('/type', 'There is no such message', `one of ${TYPES.join(', ')}`, type)
  } catch (thrown) {
    const error =
      thrown instanceof TallyError ? thrown : new TallyError('internal', 'Unexpected', { cause: thrown })
    return { error, ref }
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new TallyError('malformed_json', 'The message is not well-formed JSON', { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('', 'A message is an object', 'an object with a type', value)
  }
  return Object.assign(Object.create(null), value)
}

function readRef(ref: unknown): MessageRef | undefined {
  if (ref === undefined) return undefined
  if (typeof ref === 'string' && ref.length <= REF_CHARS_MAX && ref.isWellFormed()) return ref
  if (typeof ref === 'number' && Number.isSafeInteger(ref)) return ref
  throw invalid(
    '/ref',
    'ref cannot be sent back',
    `a text of at most ${REF_CHARS_MAX} characters or a whole number`,
    ref,
  )
}

function readTarget(message: Readonly<Record<string, unknown>>): LiveTarget {
  for (const name of Object.keys(message)) {
    if (TARGET_MEMBERS.includes(name)) continue
    throw invalid(
      `/${name.slice(0, 80)}`,
      'There is no such member here',
      `one of ${TARGET_MEMBERS.join(', ')}`,
      name,
    )
  }
  const { counter, keys } = message
  if (typeof counter !== 'string')
    throw invalid('/counter', 'A counter is missing', 'the name of a counter', counter)
  if (!Array.isArray(keys) || keys.length === 0 || !keys.every((key) => typeof key === 'string')) {
    throw invalid('/keys', 'Keys are missing', 'an array of keys', keys)
  }
  return { counter, keys }
}

function invalid(at: string, message: string, expected: string, got: unknown): TallyError {
  return new TallyError('invalid_parameter', message, {
    at,
    expected,
    ...(got === undefined ? {} : { got: shown(got) }),
  })
}

/** An error as a message: the members of a problem document (RFC 9457), with `type` telling that it is one. */
export function errorText(error: TallyError, ref: MessageRef | undefined): string {
  const { at, index, expected, got, retryAfterS } = error.detail
  return JSON.stringify({
    type: 'error',
    ref,
    code: error.code,
    status: error.status,
    detail: error.message,
    at,
    index,
    expected,
    got,
    retryAfterS,
  })
}
