import { access, constants, readdir } from 'node:fs/promises'
import { basename, delimiter, dirname, join } from 'node:path'
import { cacheFolder } from './cache.ts'
import { fetchFromDebian } from './debian.ts'
import { NatsServerError } from './errors.ts'
import { compareVersions, versionOf } from './versions.ts'

/**
 * Which nats-server is wanted: the `oldest` that Troupe works with (the 2.9 line), the `newest` (at least 2.11, so that what
 * came after 2.9 can be tried), or `any`.
 */
export type ServerVersion = 'oldest' | 'newest' | 'any'

interface Wanted {
  /** The variables that name a binary, the first one that is set holds. */
  readonly variables: readonly string[]
  /** Whether a server that was merely found will do. One that a variable names always does. */
  readonly fits: (version: string) => boolean
  /** The Debian suites that have one, the best first. */
  readonly suites: readonly string[]
}

const wanted: Readonly<Record<ServerVersion, Wanted>> = {
  oldest: {
    variables: ['TROUPE_NATS_SERVER_OLDEST', 'TROUPE_NATS_SERVER'],
    fits: (version) => version.startsWith('2.9.'),
    suites: ['bookworm'],
  },
  newest: {
    variables: ['TROUPE_NATS_SERVER_NEWEST', 'TROUPE_NATS_SERVER'],
    fits: (version) => compareVersions(version, '2.11.0') >= 0,
    suites: ['sid', 'trixie'],
  },
  any: {
    variables: ['TROUPE_NATS_SERVER', 'TROUPE_NATS_SERVER_NEWEST', 'TROUPE_NATS_SERVER_OLDEST'],
    fits: () => true,
    suites: ['sid', 'trixie', 'bookworm'],
  },
}

const found = new Map<ServerVersion, Promise<string>>()

/**
 * Finds a nats-server, and gets one where there is none. Looked at in this order: the environment
 * (`TROUPE_NATS_SERVER_OLDEST`, `TROUPE_NATS_SERVER_NEWEST`, `TROUPE_NATS_SERVER`), the cache folder (the newest that fits),
 * the PATH (with `/usr/sbin` where `/usr/bin` is on it), Debian's packages.
 *
 * @param version - Default `any`.
 * @returns The path of a binary that runs.
 * @throws {@link NatsServerError} Where there is none to be had. It says what was tried and how to install one.
 */
export function findServer(version: ServerVersion = 'any'): Promise<string> {
  const known = found.get(version)
  if (known !== undefined) return known
  const search = look(version)
  found.set(version, search)
  // What failed may work later: a network that was away, say.
  search.catch(() => found.delete(version))
  return search
}

/**
 * The version of a nats-server's binary, `2.9.10` say.
 *
 * @throws {@link NatsServerError} Where it is none.
 */
export async function serverVersion(binary: string): Promise<string> {
  const version = await versionOf(binary)
  if (version === undefined) throw new NatsServerError(`${binary} is no nats-server that runs here.`)
  return version
}

async function look(version: ServerVersion): Promise<string> {
  const { variables, fits, suites } = wanted[version]
  const named = await fromEnvironment(variables)
  if (named !== undefined) return named

  const cache = cacheFolder()
  const installed = (await fromCache(cache, fits)) ?? (await fromPath(fits))
  if (installed !== undefined) return installed

  const tried: string[] = []
  for (const suite of suites) {
    try {
      const binary = await fetchFromDebian(suite, cache)
      if (tried.length > 0) process.emitWarning(`${binary} stands in for a newer one.\n${tried.join('\n')}`)
      return binary
    } catch (error) {
      tried.push(`Debian ${suite}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  throw new NatsServerError(howToInstall(version, tried))
}

async function fromEnvironment(variables: readonly string[]): Promise<string | undefined> {
  for (const variable of variables) {
    const binary = process.env[variable]
    if (binary === undefined || binary === '') continue
    if ((await versionOf(binary)) !== undefined) return binary
    throw new NatsServerError(`${variable} names ${binary}, which is no nats-server that runs here.`)
  }
  return undefined
}

async function fromCache(cache: string, fits: Wanted['fits']): Promise<string | undefined> {
  const names = await readdir(cache).catch(() => [])
  const versions = names.filter((name) => /^\d+\.\d+\.\d+$/.test(name) && fits(name))
  for (const version of versions.sort(compareVersions).reverse()) {
    const binary = join(cache, version, 'nats-server')
    if ((await versionOf(binary)) === version) return binary
  }
  return undefined
}

async function fromPath(fits: Wanted['fits']): Promise<string | undefined> {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  // Debian installs it to sbin, which is not on everybody's PATH.
  const system = path.filter((folder) => basename(folder) === 'bin').map((bin) => join(dirname(bin), 'sbin'))
  for (const folder of [...path, ...system]) {
    const binary = join(folder, 'nats-server')
    const runs = await access(binary, constants.X_OK).then(
      () => true,
      () => false,
    )
    const version = runs ? await versionOf(binary) : undefined
    if (version !== undefined && fits(version)) return binary
  }
  return undefined
}

function howToInstall(version: ServerVersion, tried: readonly string[]): string {
  const kind = { oldest: 'of the 2.9 line', newest: 'of 2.11 or newer', any: '' }[version]
  return [
    `There is no nats-server ${kind} here, and none could be fetched.`.replace('  ', ' '),
    ...tried.map((line) => `- ${line}`),
    'Install one and put it on the PATH (apt-get install nats-server, brew install nats-server, or a release of',
    `nats-io/nats-server), or name its binary: ${wanted[version].variables[0]}=/path/to/nats-server.`,
    'TROUPE_NATS_SERVER names one to use for everything. docs/nats-server.md tells more.',
  ].join('\n')
}
