import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Fastify from 'fastify'
import { ERRORS } from '../core/errors.ts'

/**
 * The pages for people: /docs to read and try the API, /docs/errors to look up an error's code.
 * They live in an application of their own, made when the first of them is asked for: the viewer alone is
 * four megabytes, and the security headers of pages have no place on the routes of the API.
 */
export function addDocs(app: FastifyInstance): void {
  let pages: Promise<FastifyInstance> | undefined
  const serve = (request: FastifyRequest, reply: FastifyReply): void => {
    pages ??= createPages()
    pages.then(
      (made) => {
        reply.hijack()
        made.routing(request.raw, reply.raw)
      },
      (error: unknown) => reply.send(error),
    )
  }
  const options = { config: { scope: 'public' }, schema: { hide: true }, exposeHeadRoute: false } as const
  app.get('/docs', options, serve)
  app.get('/docs/*', options, serve)
}

async function createPages(): Promise<FastifyInstance> {
  const [{ default: helmet }, { default: reference }] = await Promise.all([
    import('@fastify/helmet'),
    import('@scalar/fastify-api-reference'),
  ])
  const viewer = {
    routePrefix: '/docs',
    configuration: {
      url: '/openapi.json',
      pageTitle: 'Tally API',
      // Nothing is loaded from or sent to anywhere else; the policy below would refuse it as well.
      withDefaultFonts: false,
      telemetry: false,
      hideClientButton: true,
      showDeveloperTools: 'never',
      agent: { disabled: true },
      mcp: { disabled: true },
    },
  } as const
  // The page's inline script is the same for everyone, so its hash can stand in the policy instead of
  // opening it for all inline scripts.
  const draft = Fastify()
  await draft.register(reference, viewer)
  const { body } = await draft.inject('/docs/')
  const pages = Fastify()
  await pages.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'", ...inlineScripts(body).map(hashSource)],
        // The viewer styles its elements one by one.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // Whether HTTPS is enforced is for the operator to say, not for a page.
    strictTransportSecurity: false,
  })
  await pages.register(reference, viewer)
  pages.get('/docs/errors', (_request, reply) => {
    reply.header('content-type', 'text/html; charset=utf-8').send(ERRORS_PAGE)
  })
  await pages.ready()
  return pages
}

function inlineScripts(html: string): string[] {
  return [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)].map(
    (match) => match[1] ?? '',
  )
}

/** CSP Level 3, section 2.3.1: the hash of exactly what stands between the tags. */
function hashSource(script: string): string {
  return `'sha256-${createHash('sha256').update(script).digest('base64')}'`
}

const ERRORS_PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tally: errors</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
td,th{text-align:left;padding:.25rem .75rem .25rem 0}:target{background:#fd8}</style></head><body>
<h1>Errors</h1><p>The member <code>code</code> of a problem document (RFC 9457).</p>
<table><tr><th>code</th><th>status</th><th>worth another try</th><th>meaning</th></tr>
${Object.entries(ERRORS)
  .map(
    ([code, { status, retryable, title }]) =>
      `<tr id="${code}"><td><code>${code}</code></td><td>${status}</td><td>${retryable ? 'yes' : 'no'}</td><td>${title}</td></tr>`,
  )
  .join('\n')}
</table></body></html>
`
