import { open, rm } from 'node:fs/promises'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { Type } from 'typebox'
import type { Scope } from '../core/access.ts'
import { SCOPES } from '../core/access.ts'
import type { Counters } from '../core/counter.ts'
import { shown, TallyError } from '../core/errors.ts'
import {
  ADMIN_BODY_BYTES_MAX,
  HOUR_MS,
  KEY_CHARS_MAX,
  KEY_NAME_CHARS_MAX,
  KEYS_PER_READ_MAX,
  MINUTE_MS,
  SECOND_MS,
  TOKEN_LIFETIME_MS_MAX,
} from '../core/limits.ts'
import type { ApiKeys, ListedKey } from './api-keys.ts'
import type { Routes } from './route.ts'
import type { ReadGrant, Tokens } from './tokens.ts'

export interface AccessRoutesDeps {
  readonly keys: ApiKeys
  /** Undefined where no secret is set. */
  readonly tokens: Tokens | undefined
  readonly counters: Counters
  /** Copies the store to a new file while it goes on; durable when it resolves. */
  readonly backup: (file: string) => Promise<void>
}

const KeyBody = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: KEY_NAME_CHARS_MAX }),
    scopes: Type.Array(Type.Enum([...SCOPES]), { minItems: 1, maxItems: SCOPES.length, uniqueItems: true }),
  },
  { additionalProperties: false },
)
const Key = Type.Object({
  id: Type.String(),
  name: Type.String(),
  scopes: Type.Array(Type.String()),
  createdAt: Type.String({ format: 'date-time' }),
})
const NewKey = Type.Object({
  ...Key.properties,
  key: Type.String({ description: 'Shown this once; only its hash is kept' }),
})
const TokenBody = Type.Object(
  {
    read: Type.Array(
      Type.Object(
        {
          counter: Type.String(),
          keys: Type.Optional(
            Type.Array(Type.String({ minLength: 1, maxLength: KEY_CHARS_MAX }), {
              minItems: 1,
              maxItems: KEYS_PER_READ_MAX,
              description: 'Without it, all keys of the counter',
            }),
          ),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 100 },
    ),
    expiresIn: Type.String({
      pattern: '^[1-9][0-9]{0,5}[smh]$',
      default: '15m',
      description: 'How long it is valid: whole seconds, minutes or hours, at most 24h',
    }),
  },
  { additionalProperties: false },
)
const Token = Type.Object({ token: Type.String(), expiresAt: Type.String({ format: 'date-time' }) })
const BackupBody = Type.Object(
  {
    file: Type.String({ minLength: 1, maxLength: 4_096, description: 'A new file on the service’s machine' }),
  },
  { additionalProperties: false },
)

/** API keys, tokens and the backup: what only a key of scope `admin` may do. */
export function accessRoutes(deps: AccessRoutesDeps): Routes {
  return (app) => {
    addKeyRoutes(app, deps.keys)
    addTokenRoute(app, deps)
    app.post<{ Body: { file: string } }>(
      '/v1/admin/backup',
      {
        config: { scope: 'admin' },
        bodyLimit: ADMIN_BODY_BYTES_MAX,
        schema: {
          tags: ['admin'],
          summary: 'Copy the store to a new file while it goes on',
          body: BackupBody,
          response: { 200: BackupBody },
        },
      },
      async (request) => {
        const { file } = request.body
        await writeBackup(deps.backup, file)
        return { file }
      },
    )
  }
}

function addKeyRoutes(app: FastifyInstance, keys: ApiKeys): void {
  app.get(
    '/v1/keys',
    {
      config: { scope: 'admin' },
      schema: {
        tags: ['admin'],
        summary: 'The API keys',
        response: { 200: Type.Object({ keys: Type.Array(Key) }) },
      },
    },
    async () => ({ keys: keys.list().map(keyView) }),
  )
  app.post<{ Body: { name: string; scopes: Scope[] } }>(
    '/v1/keys',
    {
      config: { scope: 'admin' },
      bodyLimit: ADMIN_BODY_BYTES_MAX,
      schema: { tags: ['admin'], summary: 'Make an API key', body: KeyBody, response: { 201: NewKey } },
    },
    async (request, reply) => {
      const { key, ...listed } = await keys.create(request.body.name, request.body.scopes)
      return neverStored(reply)
        .code(201)
        .send({ ...keyView(listed), key })
    },
  )
  app.delete<{ Params: { id: string } }>(
    '/v1/keys/:id',
    {
      config: { scope: 'admin' },
      schema: {
        tags: ['admin'],
        summary: 'Revoke an API key; no request gets in with it afterwards',
        params: Type.Object({ id: Type.String() }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      if (!(await keys.revoke(id))) {
        throw new TallyError('not_found', 'There is no key with this id', { at: 'id', got: shown(id) })
      }
      return reply.code(204).send()
    },
  )
}

function addTokenRoute(app: FastifyInstance, { tokens, counters }: AccessRoutesDeps): void {
  app.post<{ Body: { read: ReadGrant[]; expiresIn: string } }>(
    '/v1/tokens',
    {
      config: { scope: 'admin' },
      bodyLimit: ADMIN_BODY_BYTES_MAX,
      schema: {
        tags: ['admin'],
        summary: 'Make a token that lets a browser read given keys of given counters',
        body: TokenBody,
        response: { 201: Token },
      },
    },
    async (request, reply) => {
      if (tokens === undefined) {
        throw new TallyError('not_found', 'This service signs no tokens: the setting tokenSecret is not set')
      }
      const { read, expiresIn } = request.body
      for (const [index, grant] of read.entries()) {
        if (counters.has(grant.counter)) continue
        throw new TallyError('unknown_counter', 'This counter is not declared', {
          at: `/read/${index}/counter`,
          expected: `one of ${[...counters.keys()].join(', ')}`,
          got: shown(grant.counter),
        })
      }
      const { token, expiresMs } = await tokens.mint(read, lifetimeMs(expiresIn))
      return neverStored(reply)
        .code(201)
        .send({ token, expiresAt: new Date(expiresMs).toISOString() })
    },
  )
}

function keyView({ id, name, scopes, createdMs }: ListedKey) {
  return { id, name, scopes, createdAt: new Date(createdMs).toISOString() }
}

function neverStored(reply: FastifyReply): FastifyReply {
  return reply.header('cache-control', 'no-store')
}

const UNIT_MS: Readonly<Record<string, number>> = { s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS }

function lifetimeMs(text: string): number {
  const ms = Number(text.slice(0, -1)) * (UNIT_MS[text.slice(-1)] ?? Number.NaN)
  if (ms <= TOKEN_LIFETIME_MS_MAX) return ms
  throw new TallyError('invalid_parameter', 'A token may not live this long, since it cannot be revoked', {
    at: '/expiresIn',
    expected: `at most ${TOKEN_LIFETIME_MS_MAX / HOUR_MS}h`,
    got: shown(text),
  })
}

/** Claims the file first: so none is ever overwritten, and a place that can't be written is named as such. */
async function writeBackup(backup: (file: string) => Promise<void>, file: string): Promise<void> {
  const claimed = await open(file, 'wx').catch((cause: unknown) => {
    throw backupError(cause, file)
  })
  await claimed.close()
  try {
    await backup(file)
  } catch (error) {
    await rm(file, { force: true })
    throw error
  }
}

/** Failures of the named file are the caller's to mend; the rest stays what it is. */
function backupError(cause: unknown, file: string): unknown {
  const expected = cause instanceof Error && 'code' in cause ? FILE_ERRORS[String(cause.code)] : undefined
  if (expected === undefined) return cause
  return new TallyError('invalid_parameter', 'The backup cannot be written there', {
    at: '/file',
    expected,
    got: shown(file),
    cause,
  })
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  EEXIST: 'a file that does not exist yet',
  ENOENT: 'a folder that exists',
  ENOTDIR: 'a folder that exists',
  EISDIR: 'a file, not a folder',
  EACCES: 'a folder the service may write to',
  EPERM: 'a folder the service may write to',
  EROFS: 'a folder the service may write to',
}
