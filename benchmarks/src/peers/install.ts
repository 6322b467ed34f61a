import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Absent } from '../lib/absent.ts'

/** The folder with a package.json and a lock file of its own: no peer is a dependency of the workspace. */
const folder = new URL('../../peers/', import.meta.url)
const installed = new URL('node_modules/.package-lock.json', folder)

/** Where the peers are, as a path. */
export const peersFolder = fileURLToPath(folder)

/** Whether the peers have been installed. */
export const arePeersInstalled = (): boolean => existsSync(installed)

/** Installs the peers, where that has not been done since the lock file changed. Without a network, they are absent. */
export function installPeers(): void {
  const locked = statSync(new URL('package-lock.json', folder)).mtimeMs
  if (existsSync(installed) && statSync(installed).mtimeMs >= locked) return
  process.stderr.write('installing the peers\n')
  try {
    execFileSync('npm', ['ci'], { cwd: peersFolder, stdio: ['ignore', 'ignore', 'inherit'] })
  } catch {
    process.stderr.write('the peers could not be installed: they will be absent from the tables\n')
  }
}

/** Loads a peer. `Module` names what is used of it: peers are not there when this is compiled. */
export async function loadPeer<Module>(name: string): Promise<Module> {
  if (!arePeersInstalled()) throw new Absent(`${name} is not installed`)
  const file = createRequire(folder).resolve(name)
  return (await import(pathToFileURL(file).href)) as Module
}

/** The pinned versions, by name. */
export function peerVersions(): Readonly<Record<string, string>> {
  const text = readFileSync(new URL('package.json', folder), 'utf8')
  return (JSON.parse(text) as { dependencies: Record<string, string> }).dependencies
}
