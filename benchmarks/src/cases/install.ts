import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Absent } from '../lib/absent.ts'
import { expectEqual, type Measure } from '../lib/measure.ts'
import { temporaryFolder } from '../lib/temporary.ts'
import { arePeersInstalled, peersFolder, peerVersions } from '../peers/install.ts'

const packagesFolder = fileURLToPath(new URL('../../../packages', import.meta.url))
const run = promisify(execFile)

interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(packagesFolder, folder, 'package.json'), 'utf8')) as Manifest

/** Bytes of all files below a folder, but for what is installed inside of it. */
function bytesOf(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isFile()) bytes += statSync(path).size
    else if (entry.isDirectory() && entry.name !== 'node_modules') bytes += bytesOf(path)
  }
  return bytes
}

interface Installed {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** What npm has put into a folder, by path. */
function installedIn(folder: string): Readonly<Record<string, Installed>> {
  const text = readFileSync(join(folder, 'node_modules', '.package-lock.json'), 'utf8')
  return (JSON.parse(text) as { packages: Record<string, Installed> }).packages
}

/** The paths of a package and all that it needs. */
function closure(name: string, all: Readonly<Record<string, Installed>>): ReadonlySet<string> {
  const found = new Set<string>()
  /** Node looks beside, then further and further up. */
  const find = (wanted: string, from: string): string | undefined => {
    for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
      const path = `${folder === '' ? '' : `${folder}/`}node_modules/${wanted}`
      if (Object.hasOwn(all, path)) return path
      if (folder === '') return undefined
    }
  }
  const add = (wanted: string, from: string): void => {
    const path = find(wanted, from)
    // What is optional, or is for another machine, is not there.
    if (path === undefined || found.has(path)) return
    found.add(path)
    const { dependencies, optionalDependencies, peerDependencies } = all[path] ?? {}
    for (const next of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      add(next, path)
    }
  }
  add(name, '')
  return found
}

function weigh(folder: string, name: string): Readonly<Record<string, number>> {
  const paths = closure(name, installedIn(folder))
  expectEqual('package of this name', paths.has(`node_modules/${name}`) ? 1 : 0, 1)
  const bytes = [...paths].map((path) => bytesOf(join(folder, path)))
  return {
    packages: paths.size,
    MB: bytes.reduce((sum, some) => sum + some, 0) / 1e6,
    'MB of its own': bytesOf(join(folder, 'node_modules', name)) / 1e6,
  }
}

/** Packs a package, and the core that it needs, and installs it into an empty folder. */
const own =
  (folder: string): Measure =>
  async () => {
    const { name, dependencies = {}, peerDependencies = {} } = manifestOf(folder)
    const project = temporaryFolder()
    const tarballs: Record<string, string> = {}
    let packed = 0
    for (const each of new Set([folder, ...('@troupe/core' in dependencies ? ['core'] : [])])) {
      const args = ['-y', 'pnpm@12', 'pack', '--json', '--pack-destination', project]
      const { stdout } = await run('npx', args, { cwd: join(packagesFolder, each) })
      const { filename } = JSON.parse(stdout) as { filename: string }
      tarballs[manifestOf(each).name] = `file:${filename}`
      if (each === folder) packed = statSync(filename).size
    }
    // They ask for each other by version, which no registry has.
    const manifest = {
      private: true,
      dependencies: { ...tarballs, ...peerDependencies },
      overrides: tarballs,
    }
    writeFileSync(join(project, 'package.json'), JSON.stringify(manifest))
    const args = [
      'install',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      '--ignore-scripts',
      '--loglevel=error',
    ]
    await run('npm', args, { cwd: project }).catch((error: unknown) => {
      throw new Absent(`npm could not install ${name}: ${String(error).slice(0, 200)}`)
    })
    return { ...weigh(project, name), 'kB packed': packed / 1e3 }
  }

/** The same of a peer that is installed already. */
const peer =
  (name: string): Measure =>
  async () => {
    if (!arePeersInstalled()) throw new Absent(`${name} is not installed`)
    return weigh(peersFolder, name)
  }

const ownFolders = ['core', 'runners', 'sqlite-journal', 'nats-transport', 'web', 'opentelemetry'] as const

export const measures: Readonly<Record<string, Measure>> = Object.fromEntries([
  ...ownFolders.map((folder) => [folder, own(folder)] as const),
  ...Object.keys(peerVersions()).map((name) => [`peer ${name}`, peer(name)] as const),
])
