import net from 'node:net'
import { Histogram } from './histogram.ts'
import { eventsPerRequest, type NextRequest, type RequestShape, requestMaker } from './requests.ts'

/**
 * A load generator for HTTP/1.1 over plain sockets: keep-alive, one request in flight per connection.
 * Run as a program with a plan in JSON as its only argument it prints the result in JSON, so that it can be
 * pinned to a core of its own.
 */
export interface LoadPlan {
  readonly port: number
  readonly shape: RequestShape
  readonly connections: number
  /** Sent before anything is counted. */
  readonly warmupMs: number
  readonly durationMs: number
  /**
   * Requests per second of an open loop: each has its intended moment, and latency is measured from there, so a
   * server that stalls is charged for everything that waited. Without it, a closed loop at the highest rate.
   */
  readonly ratePerS?: number
}

export interface LoadResult {
  readonly requests: number
  readonly events: number
  /** Events answered from the first to the last moment, warm-up included: what CPU time is divided by. */
  readonly eventsInAll: number
  readonly seconds: number
  /** Answers other than 200 and lost connections; a run with errors is not a measurement. */
  readonly errors: number
  readonly firstError: string | undefined
  readonly latencyUs: { mean: number; p50: number; p90: number; p99: number; p999: number; max: number }
  /** CPU time of this process, start-up included, milliseconds. */
  readonly cpuMs: number
  /** The share of time in which the generator itself was computing; near 1 in a closed loop it may be the limit. */
  readonly generatorBusy: number
}

const READ_BYTES = 64 * 1024
const HEAD_END = Buffer.from('\r\n\r\n')
const OK_STATUS = Buffer.from('HTTP/1.1 200 ')
const LENGTH_NAME = 'content-length:'
/** An open loop that falls this far behind is not a measurement of latency any more. */
const BACKLOG_MAX = 500_000

class Connection {
  readonly #next: NextRequest
  readonly #settled: (connection: Connection, error: string | undefined) => void
  readonly #socket: net.Socket
  /** When the request in flight should have been sent, milliseconds of performance.now(). */
  intendedMs: number
  #missing: number
  #head: Buffer

  constructor(
    port: number,
    next: NextRequest,
    events: { ready: () => void; settled: (connection: Connection, error: string | undefined) => void },
  ) {
    this.#next = next
    this.#settled = events.settled
    this.intendedMs = 0
    this.#missing = 0
    this.#head = Buffer.alloc(0)
    this.#socket = net.connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(READ_BYTES),
        callback: (bytes, buffer) => {
          this.#read(buffer as Buffer, bytes)
          return true
        },
      },
    })
    this.#socket.on('connect', events.ready)
    this.#socket.on('error', (error) => this.#settled(this, error.message))
    this.#socket.on('close', () => this.#settled(this, 'connection closed'))
  }

  send(intendedMs: number, nowMs: number): void {
    this.intendedMs = intendedMs
    this.#socket.write(this.#next(nowMs))
  }

  close(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.removeAllListeners('error')
    this.#socket.on('error', () => {})
    this.#socket.destroy()
  }

  #read(buffer: Buffer, bytes: number): void {
    if (this.#missing > 0) {
      this.#missing -= bytes
      if (this.#missing <= 0) this.#settled(this, undefined)
      return
    }
    const whole =
      this.#head.length === 0
        ? buffer.subarray(0, bytes)
        : Buffer.concat([this.#head, buffer.subarray(0, bytes)])
    const end = whole.indexOf(HEAD_END)
    if (end < 0) {
      this.#head = Buffer.from(whole)
      return
    }
    if (this.#head.length > 0) this.#head = Buffer.alloc(0)
    if (whole.compare(OK_STATUS, 0, OK_STATUS.length, 0, OK_STATUS.length) !== 0) {
      this.#settled(this, whole.toString('latin1', 0, Math.min(whole.length, 600)))
      return
    }
    const length = contentLength(whole.toString('latin1', 0, end))
    if (length < 0) {
      this.#settled(this, 'an answer without Content-Length')
      return
    }
    this.#missing = end + HEAD_END.length + length - whole.length
    if (this.#missing <= 0) this.#settled(this, undefined)
  }
}

function contentLength(head: string): number {
  const at = head.toLowerCase().indexOf(LENGTH_NAME)
  return at < 0 ? -1 : Number.parseInt(head.slice(at + LENGTH_NAME.length), 10)
}

/** Runs one plan; resolves when its time is over and every connection is closed. */
export async function runLoad(plan: LoadPlan): Promise<LoadResult> {
  return await new Promise((resolve) => new Load(plan, resolve).start())
}

class Load {
  readonly #plan: LoadPlan
  readonly #resolve: (result: LoadResult) => void
  readonly #histogram: Histogram
  readonly #connections: Connection[]
  readonly #idle: Connection[]
  #ready: number
  #answered: number
  #errors: number
  #firstError: string | undefined
  #countFromMs: number
  #endMs: number
  #nextMs: number
  #utilization: ReturnType<typeof performance.eventLoopUtilization>
  #finished: boolean

  constructor(plan: LoadPlan, resolve: (result: LoadResult) => void) {
    this.#plan = plan
    this.#resolve = resolve
    this.#histogram = new Histogram()
    this.#connections = []
    this.#idle = []
    this.#ready = 0
    this.#answered = 0
    this.#errors = 0
    this.#firstError = undefined
    this.#countFromMs = 0
    this.#endMs = 0
    this.#nextMs = 0
    this.#utilization = performance.eventLoopUtilization()
    this.#finished = false
  }

  start(): void {
    for (let index = 0; index < this.#plan.connections; index += 1) {
      const maker = requestMaker(this.#plan.shape)
      this.#connections.push(
        new Connection(this.#plan.port, maker, {
          ready: () => this.#connected(),
          settled: (connection, error) => this.#settled(connection, error),
        }),
      )
    }
  }

  #connected(): void {
    this.#ready += 1
    if (this.#ready < this.#plan.connections) return
    const nowMs = performance.now()
    this.#countFromMs = nowMs + this.#plan.warmupMs
    this.#endMs = this.#countFromMs + this.#plan.durationMs
    setTimeout(() => {
      this.#utilization = performance.eventLoopUtilization()
    }, this.#plan.warmupMs)
    setTimeout(() => this.#finish(), this.#plan.warmupMs + this.#plan.durationMs)
    if (this.#plan.ratePerS === undefined) {
      for (const connection of this.#connections) connection.send(nowMs, Date.now())
    } else {
      this.#nextMs = nowMs
      this.#idle.push(...this.#connections)
      this.#pace(1000 / this.#plan.ratePerS)
    }
  }

  /** Sends what is due. It spins instead of sleeping, as a timer is a millisecond late on its own. */
  #pace(everyMs: number): void {
    if (this.#finished) return
    const nowMs = performance.now()
    if ((nowMs - this.#nextMs) / everyMs > BACKLOG_MAX) this.#fail('the server fell behind the rate')
    if (this.#nextMs <= nowMs && this.#idle.length > 0) {
      const dateMs = Date.now()
      while (this.#nextMs <= nowMs) {
        const connection = this.#idle.shift()
        if (connection === undefined) break
        connection.send(this.#nextMs, dateMs)
        this.#nextMs += everyMs
      }
    }
    setImmediate(() => this.#pace(everyMs))
  }

  #settled(connection: Connection, error: string | undefined): void {
    if (this.#finished) return
    if (error !== undefined) {
      this.#fail(error)
      return
    }
    this.#answered += 1
    const nowMs = performance.now()
    if (nowMs >= this.#countFromMs && nowMs < this.#endMs) {
      this.#histogram.add((nowMs - connection.intendedMs) * 1000)
    }
    if (nowMs >= this.#endMs) return
    if (this.#plan.ratePerS === undefined) connection.send(nowMs, Date.now())
    else this.#idle.push(connection)
  }

  /** One error spoils the whole run: stopping at once gives the cause sooner than a wrong figure. */
  #fail(error: string): void {
    this.#errors += 1
    this.#firstError ??= error
    this.#finish()
  }

  #finish(): void {
    if (this.#finished) return
    this.#finished = true
    const utilization = performance.eventLoopUtilization(this.#utilization).utilization
    for (const connection of this.#connections) connection.close()
    const histogram = this.#histogram
    const seconds = this.#plan.durationMs / 1000
    this.#resolve({
      requests: histogram.count,
      events: histogram.count * eventsPerRequest(this.#plan.shape),
      eventsInAll: this.#answered * eventsPerRequest(this.#plan.shape),
      seconds,
      errors: this.#errors,
      firstError: this.#firstError,
      latencyUs: {
        mean: histogram.mean,
        p50: histogram.quantile(0.5),
        p90: histogram.quantile(0.9),
        p99: histogram.quantile(0.99),
        p999: histogram.quantile(0.999),
        max: histogram.max,
      },
      cpuMs: (process.cpuUsage().user + process.cpuUsage().system) / 1000,
      generatorBusy: utilization,
    })
  }
}

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? '') as LoadPlan
  const result = await runLoad(plan)
  process.stdout.write(`${JSON.stringify(result)}\n`)
  // Timers of a run that ended early would keep the process alive.
  process.exit(result.errors === 0 ? 0 : 1)
}
