import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Absent } from '../lib/absent.ts'

/** Folders with a package.json and a lock file of their own: no peer is a dependency of the workspace. */
const folders = {
  common: new URL('../../peers/', import.meta.url),
  /** Apart from the others, which are needed more often: it is large. */
  temporal: new URL('../../peers/temporal/', import.meta.url),
} as const

/** Peers that are installed together. */
export type PeerSet = keyof typeof folders

/** Where the common peers are, as a path. */
export const peersFolder = fileURLToPath(folders.common)

const installed = (set: PeerSet): URL => new URL('node_modules/.package-lock.json', folders[set])

/** Whether peers have been installed. */
export const arePeersInstalled = (set: PeerSet = 'common'): boolean => existsSync(installed(set))

/** Installs peers, where that has not been done since the lock file changed. Without a network, they are absent. */
export function installPeers(set: PeerSet = 'common'): void {
  const locked = statSync(new URL('package-lock.json', folders[set])).mtimeMs
  if (arePeersInstalled(set) && statSync(installed(set)).mtimeMs >= locked) return
  process.stderr.write(`installing the peers (${set})\n`)
  try {
    execFileSync('npm', ['ci'], { cwd: fileURLToPath(folders[set]), stdio: ['ignore', 'ignore', 'inherit'] })
  } catch {
    process.stderr.write('the peers could not be installed: they will be absent from the tables\n')
  }
}

/** Where a module of a peer is. */
function resolvePeer(name: string, set: PeerSet): string {
  if (!arePeersInstalled(set)) throw new Absent(`${name} is not installed`)
  try {
    return createRequire(folders[set]).resolve(name)
  } catch {
    throw new Absent(`${name} is not installed: the lock file has changed since`)
  }
}

/** Loads a peer. `Module` names what is used of it: peers are not there when this is compiled. */
export async function loadPeer<Module>(name: string, set: PeerSet = 'common'): Promise<Module> {
  return (await import(pathToFileURL(resolvePeer(name, set)).href)) as Module
}

/** The pinned versions, by name. */
export function peerVersions(set: PeerSet = 'common'): Readonly<Record<string, string>> {
  const text = readFileSync(new URL('package.json', folders[set]), 'utf8')
  return (JSON.parse(text) as { dependencies: Record<string, string> }).dependencies
}
