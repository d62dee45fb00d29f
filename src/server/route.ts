import type { FastifyInstance } from 'fastify'
import type { Access, Scope } from '../core/access.ts'

/** What a route needs of its caller. `public` routes never ask for a key. */
export type RouteScope = Scope | 'public'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route declares it; one that doesn't is refused at start. */
    scope?: RouteScope
  }
  interface FastifyRequest {
    /** Set before any handler runs. */
    access: Access
  }
}

/** A stage's routes: registers them on the application it is given. */
export type Routes = (app: FastifyInstance) => void | Promise<void>
