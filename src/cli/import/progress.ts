import { SECOND_MS } from '../../core/limits.ts'
import { grouped, type Terminal } from '../terminal.ts'

/** Shows how far an import is: a bar on a terminal, a line now and then elsewhere. */
export interface Progress {
  /** Bytes of the file that were read, and records. */
  update(bytes: number, records: number): void
  end(): void
}

const LINE_EVERY_MS = 2 * SECOND_MS

/** `totalBytes` is undefined where the end can't be known: stdin. */
export async function startProgress(
  terminal: Terminal,
  name: string,
  totalBytes: number | undefined,
): Promise<Progress> {
  const isBar = terminal.streams.stderr.isTTY === true && !terminal.isJson && totalBytes !== undefined
  return isBar ? bar(totalBytes) : lines(terminal, name, totalBytes)
}

async function bar(totalBytes: number): Promise<Progress> {
  const { default: cliProgress } = await import('cli-progress')
  const shown = new cliProgress.SingleBar(
    { format: 'import [{bar}] {percentage} % | {records} records | {eta_formatted} left', etaBuffer: 50 },
    cliProgress.Presets.shades_classic,
  )
  shown.start(totalBytes, 0, { records: '0' })
  let last = '0'
  return {
    update(bytes, records) {
      last = grouped(records)
      shown.update(Math.min(bytes, totalBytes), { records: last })
    },
    end() {
      shown.update(totalBytes, { records: last })
      shown.stop()
    },
  }
}

function lines(terminal: Terminal, name: string, totalBytes: number | undefined): Progress {
  let toldMs = performance.now()
  return {
    update(bytes, records) {
      if (terminal.isJson || performance.now() - toldMs < LINE_EVERY_MS) return
      toldMs = performance.now()
      const part =
        totalBytes === undefined ? '' : ` (${Math.floor((100 * bytes) / Math.max(1, totalBytes))} %)`
      terminal.note(`import ${name}: ${grouped(records)} records${part}`)
    },
    end: () => undefined,
  }
}
