import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { orFail } from './strace.ts'

const MIB = 1024 * 1024

/** A file system of its own, so small that a test can fill it. */
export interface SmallDisk {
  readonly folder: string
  /** Fills it with a ballast file until only `bytes` are free. */
  leaveFree(bytes: number): void
  /** Removes the ballast. */
  free(): void
}

/** Mounts a tmpfs until the test ends. Returns why not where that isn't possible; throws instead where CI=true. */
export function mountSmallDisk(mebibytes: number): SmallDisk | string {
  const folder = mkdtempSync(join(tmpdir(), 'tally-small-disk-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder])
  if (mounted.status !== 0) {
    rmSync(folder, { recursive: true })
    const reason = `no small file system can be mounted here (needs root on Linux): ${mounted.stderr ?? ''}`
    return orFail(reason) ?? reason
  }
  onTestFinished(() => {
    spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  const ballast = join(folder, 'ballast')
  return {
    folder,
    leaveFree: (bytes) => {
      const block = Buffer.alloc(MIB / 8)
      const handle = openSync(ballast, 'a')
      for (;;) {
        const { bavail, bsize } = statfsSync(folder)
        const room = bavail * bsize - bytes
        if (room <= 0) break
        writeSync(handle, block, 0, Math.min(block.length, room))
      }
      closeSync(handle)
    },
    free: () => rmSync(ballast, { force: true }),
  }
}
