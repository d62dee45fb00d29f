// Lets a route's schema carry its tags, its summary and its description.
import type {} from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import type { Access, Scope } from '../core/access.ts'

/** What a route needs of its caller. `public` routes never ask for a key. */
export type RouteScope = Scope | 'public'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route declares it; one that doesn't is refused at start. */
    scope?: RouteScope
    /**
     * The handler asks `access.mayRead` for every counter and key it shows. Only then does the route take
     * tokens, which are limited to some keys; also in the query as `?token=`, where a browser can't set headers.
     */
    perKey?: boolean
    /**
     * OpenAPI 3.1 Request Body Object of a route that parses its body itself; a `schema.body` would be run
     * against the raw bytes.
     */
    requestBody?: Readonly<Record<string, unknown>>
  }
  interface FastifyRequest {
    /** Set before any handler runs. */
    access: Access
  }
}

/** A stage's routes: registers them on the application it is given. */
export type Routes = (app: FastifyInstance) => void | Promise<void>
