import { existsSync, readFileSync, realpathSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** File systems that are kept in memory. */
const inMemory = new Set(['tmpfs', 'ramfs', 'devtmpfs'])

/** Where Linux lists what is mounted. */
const mountsFile = '/proc/mounts'

/** Blanks in paths are listed as octal numbers. */
const unescaped = (path: string): string =>
  path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

const isWithin = (folder: string, mounted: string): boolean =>
  mounted === '/' || folder === mounted || folder.startsWith(`${mounted}/`)

/**
 * Type of the file system that a folder is on, from a list of mounts: the one with the longest path, and of several at the same
 * place the last, which hides the others. Undefined where the list has none.
 */
export function fileSystemOf(folder: string, mounts: string): string | undefined {
  let longest = 0
  let found: string | undefined
  for (const line of mounts.split('\n')) {
    const [, path = '', type = ''] = line.split(' ')
    const mounted = unescaped(path)
    if (mounted.length < longest || mounted === '' || !isWithin(folder, mounted)) continue
    longest = mounted.length
    found = type
  }
  return found
}

/** The type in words: what is in memory is no disk, and that is said. */
export const described = (type: string): string =>
  inMemory.has(type) ? `${type}: IN MEMORY, what is kept on it waits for no disk` : type

/** What the temporary folder is on, where all is written that is measured. */
export function temporaryDisk(): string {
  const folder = realpathSync(tmpdir())
  const type = existsSync(mountsFile) ? fileSystemOf(folder, readFileSync(mountsFile, 'utf8')) : undefined
  // Elsewhere file systems have numbers.
  return described(type ?? `type 0x${statfsSync(folder).type.toString(16)}`)
}
