import type { LoadPlan, LoadResult } from './load.ts'
import { coreBusyMs, cpuMs, LOAD_CORE, load, SERVER_CORE, type Server, untilQuiet } from './processes.ts'

/** How long and how often to measure. */
export interface Pace {
  readonly rounds: number
  /** How many rounds more may be run to replace disturbed ones. */
  readonly repeatsMax: number
  readonly roundMs: number
  /** Sent to each server once, before the first round. */
  readonly warmupMs: number
}

/** What a server was under one plan of load. */
export interface Measured {
  readonly load: LoadResult
  readonly perS: number
  /** CPU time of the server per event, microseconds, with what it did after the load had stopped. */
  readonly cpuUs: number
  /** The share of its core that the server had during the load. */
  readonly busy: number
  /** The share of the busier of both cores that went to processes which are no part of the bench. */
  readonly others: number
}

/** With more of a core than this in other hands a round is repeated, as long as there are repeats left. */
export const OTHERS_SHARE_MAX = 0.05

/** Sends the load, watches who had the cores, and waits until the server is quiet: its bill is then complete. */
export async function measure(server: Server, plan: Omit<LoadPlan, 'port'>): Promise<Measured> {
  const before = snapshot(server)
  const result = await load({ ...plan, port: server.port })
  const after = snapshot(server)
  await untilQuiet(server.pid)
  const elapsedMs = after.atMs - before.atMs
  const ownMs = after.cpu - before.cpu
  const share = (busyMs: number, knownMs: number) => Math.max(0, busyMs - knownMs) / elapsedMs
  return {
    load: result,
    perS: result.events / result.seconds,
    cpuUs: ((cpuMs(server.pid) - before.cpu) * 1000) / result.eventsInAll,
    busy: ownMs / (plan.warmupMs + plan.durationMs),
    others: Math.max(
      share(after.serverCore - before.serverCore, ownMs),
      share(after.loadCore - before.loadCore, result.cpuMs),
    ),
  }
}

function snapshot(server: Server) {
  return {
    atMs: performance.now(),
    cpu: cpuMs(server.pid),
    serverCore: coreBusyMs(SERVER_CORE),
    loadCore: coreBusyMs(LOAD_CORE),
  }
}

/**
 * Runs rounds until enough of them had the cores to themselves, or no repeats are left, and keeps the
 * least disturbed. Which rounds stay depends on other processes alone, never on what was measured.
 */
export async function calmest<R extends { others: number }>(
  pace: Pace,
  once: () => Promise<R>,
): Promise<{ rounds: R[]; disturbed: string | undefined }> {
  const all: R[] = []
  const calm = () => all.filter(({ others }) => !(others > OTHERS_SHARE_MAX)).length
  const most = pace.rounds + pace.repeatsMax
  while (all.length < pace.rounds || (calm() < pace.rounds && all.length < most)) all.push(await once())
  const rounds = all.toSorted((a, b) => a.others - b.others).slice(0, pace.rounds)
  const worst = rounds.at(-1)?.others ?? 0
  if (!(worst > OTHERS_SHARE_MAX)) return { rounds, disturbed: undefined }
  const share = `${Math.round(worst * 100)} %`
  return {
    rounds,
    disturbed: `DISTURBED: other processes had up to ${share} of a core; repeat this on a quiet machine`,
  }
}
