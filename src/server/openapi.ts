import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import type { DeclaredRoute } from './guard.ts'
import { PROBLEM_SCHEMA, PROBLEM_TYPE } from './problem.ts'

type JsonObject = Record<string, unknown>

const DESCRIPTION = `Counts events exactly, once each, and answers values, series and live pushes.

Every error is a problem document (RFC 9457) with a stable \`code\`; [the list](/docs/errors).
An answer with a 2xx status means that the event is durable and counted once.`

/**
 * Gathers the schemas of every route registered on `app` from now on, the very ones that validate, and serves
 * them as an OpenAPI 3.1 document at /openapi.json. The document is made at the first request for it.
 */
export async function addOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Tally', version, description: DESCRIPTION },
      components: {
        securitySchemes: {
          apiKey: { type: 'http', scheme: 'bearer', description: 'An API key, `tally_…`' },
          apiKeyHeader: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
          token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'Reads given keys' },
          tokenParameter: {
            type: 'apiKey',
            in: 'query',
            name: 'token',
            description: 'The same, for browsers',
          },
        },
      },
    },
  })
  let document: string | undefined
  app.get(
    '/openapi.json',
    { config: { scope: 'public' }, schema: { tags: ['service'], summary: 'This document' } },
    (_request, reply) => {
      document ??= JSON.stringify(completed(app.swagger(), app.declaredRoutes))
      reply.header('content-type', 'application/json; charset=utf-8').send(document)
    },
  )
}

/** `GET /v1/keys/:id` as the document names it: `get /v1/keys/{id}`. */
function operationKey(method: string, url: string): string {
  return `${method.toLowerCase()} ${url.replaceAll(/:(\w+)/g, '{$1}')}`
}

/** Adds what holds for every operation: who may call it, and how it fails. */
function completed(document: object, routes: readonly DeclaredRoute[]): JsonObject {
  const declared = new Map(routes.map((route) => [operationKey(route.method, route.url), route]))
  const whole = structuredClone(document) as JsonObject
  const components = (whole.components ?? {}) as JsonObject
  components.schemas = { ...(components.schemas as JsonObject | undefined), Problem: PROBLEM_SCHEMA }
  whole.components = components
  for (const [path, item] of Object.entries(
    (whole.paths ?? {}) as Record<string, Record<string, JsonObject>>,
  )) {
    for (const [method, operation] of Object.entries(item)) {
      const declaration = declared.get(`${method} ${path}`)
      if (declaration !== undefined) complete(operation, declaration)
    }
  }
  return whole
}

function complete(operation: JsonObject, { scope, perKey, requestBody }: DeclaredRoute): void {
  if (requestBody !== undefined) operation.requestBody = requestBody
  operation.responses = { ...(operation.responses as JsonObject | undefined), default: PROBLEM_RESPONSE }
  if (scope === 'public') {
    operation.security = []
    return
  }
  const tokens = perKey ? [{ token: [] }, { tokenParameter: [] }] : []
  operation.security = [{ apiKey: [] }, { apiKeyHeader: [] }, ...tokens]
  operation['x-tally-scope'] = scope
}

const PROBLEM_RESPONSE = {
  description: 'A problem document; /docs/errors explains its codes',
  content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
}
