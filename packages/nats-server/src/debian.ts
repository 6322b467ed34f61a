/**
 * A nats-server out of Debian's packages, unpacked into a folder: nothing is installed, no right of root is needed, and
 * nothing of the machine's apt changes. Its proxies and its mirror are used, its package lists and sources are left alone.
 */
import { execFile } from 'node:child_process'
import { access, copyFile, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { NatsServerError } from './errors.ts'
import { versionOf } from './versions.ts'

const workPrefix = '.fetch-'
const hour = 3_600_000

const run = promisify(execFile)

/** The debian-archive-keyring's file; Debian also ships it under the second name from release 13 on. */
const keyrings = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
]

/** Debian's own address for everybody, for machines whose apt is set up for no Debian mirror. */
const defaultMirror = 'http://deb.debian.org/debian/'

/**
 * Fetches the nats-server of a suite (`bookworm`, `sid`, …) and puts it into the cache, under the version that it says it has.
 *
 * Safe to call from many processes at once: each works in a folder of its own, and the finished folder is renamed into place.
 *
 * @returns The path of the binary.
 * @throws {@link NatsServerError} Where apt, the keyring, the network or the package is missing, or a signature is wrong.
 */
export async function fetchFromDebian(suite: string, cache: string): Promise<string> {
  const keyring = await firstThatExists(keyrings)
  if (keyring === undefined) {
    throw new NatsServerError('no debian-archive-keyring here to check the packages with')
  }
  await mkdir(cache, { recursive: true })
  await removeLeftovers(cache)
  const failures: string[] = []
  for (const mirror of await mirrors()) {
    const work = await mkdtemp(join(cache, workPrefix))
    try {
      return await fetchPackage({ suite, mirror, keyring, work, cache })
    } catch (error) {
      failures.push(`${mirror}: ${lastLine(error)}`)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }
  throw new NatsServerError(failures.join('; '))
}

interface Fetch {
  readonly suite: string
  readonly mirror: string
  readonly keyring: string
  /** An empty folder for apt's lists and for the package. */
  readonly work: string
  readonly cache: string
}

async function fetchPackage(fetch: Fetch): Promise<string> {
  const { work, cache } = fetch
  const env = { ...process.env, LC_ALL: 'C', APT_CONFIG: await aptConfig(fetch) }
  // apt takes an index only with a signature of the keyring, and a package only with the hash of that index.
  await run('apt-get', ['update', '-q', '--error-on=any'], { env })
  await run('apt-get', ['download', '-q', 'nats-server'], { env, cwd: work })
  const packed = (await readdir(work)).find((name) => name.endsWith('.deb'))
  if (packed === undefined) throw new NatsServerError('apt-get download left no package')
  await run('dpkg-deb', ['-x', join(work, packed), join(work, 'files')])

  const unpacked = await firstThatExists(
    ['sbin', 'bin'].map((folder) => join(work, 'files', 'usr', folder, 'nats-server')),
  )
  const version = unpacked === undefined ? undefined : await versionOf(unpacked)
  if (unpacked === undefined || version === undefined) {
    throw new NatsServerError(`${packed} has no nats-server that runs here`)
  }
  await mkdir(join(work, 'ready'))
  await copyFile(unpacked, join(work, 'ready', 'nats-server'))
  const home = join(cache, version)
  await rename(join(work, 'ready'), home).catch(async (error: unknown) => {
    // Another process was first. What it put there is whole, as this is.
    if ((await versionOf(join(home, 'nats-server'))) !== version) throw error
  })
  return join(home, 'nats-server')
}

/** A configuration of apt with one source, and with all its state in the folder. */
async function aptConfig(fetch: Fetch): Promise<string> {
  const { suite, mirror, keyring, work } = fetch
  const sources = join(work, 'sources.list.d')
  await Promise.all(
    ['empty', 'sources.list.d', 'lists/partial', 'archives/partial', 'state'].map((folder) =>
      mkdir(join(work, folder), { recursive: true }),
    ),
  )
  await writeFile(
    join(sources, 'debian.sources'),
    `Types: deb\nURIs: ${mirror}\nSuites: ${suite}\nComponents: main\nSigned-By: ${keyring}\n`,
  )
  await writeFile(join(work, 'status'), '')
  const file = join(work, 'apt.conf')
  const settings = {
    // The machine's own configuration may run hooks after an update. What it says of the way to its mirror is copied below.
    'Dir::Etc::main': '/dev/null',
    'Dir::Etc::parts': join(work, 'empty'),
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': sources,
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': join(work, 'empty'),
    'Dir::State': join(work, 'state'),
    'Dir::State::lists': join(work, 'lists'),
    'Dir::State::status': join(work, 'status'),
    'Dir::Cache': join(work, 'archives'),
    'Dir::Cache::archives': join(work, 'archives'),
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
  }
  const lines = Object.entries(settings).map(([key, value]) => `${key} ${JSON.stringify(value)};`)
  await writeFile(file, [...lines, ...(await mirrorSettings()), ''].join('\n'))
  return file
}

/**
 * What the machine's apt is told of the way to its mirror: proxies, certificates, and whether an index may be older than it
 * says, as it is on a mirror that stands still. That signatures are checked is not open to it.
 */
async function mirrorSettings(): Promise<string[]> {
  const { stdout } = await run('apt-config', ['dump'])
  return stdout
    .split('\n')
    .filter((line) => /^Acquire::(https?|ForceIPv[46]|Check-Valid-Until|Check-Date)\b/.test(line))
}

/** The Debian mirrors of the machine's apt, and the default one after them. */
async function mirrors(): Promise<string[]> {
  const { stdout } = await run('apt-get', ['indextargets', 'Created-By: Packages'])
  const uris = stdout.split('\n\n').flatMap((target) => {
    const uri = field(target, 'Repo-URI')
    const label = field(target, 'Label')
    // The label is only known after an update; before it the address has to tell.
    const isDebian = label === undefined || label === '' ? uri?.endsWith('/debian/') : label === 'Debian'
    return isDebian === true && uri !== undefined && /^https?:/.test(uri) ? [uri] : []
  })
  return [...new Set([...uris, defaultMirror])]
}

function field(target: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)$`, 'm').exec(target)?.[1]
}

/** Removes what processes left that were killed while they fetched. */
async function removeLeftovers(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.startsWith(workPrefix)) continue
    const work = join(cache, name)
    const { mtimeMs } = await stat(work).catch(() => ({ mtimeMs: Date.now() }))
    if (Date.now() - mtimeMs > hour) await rm(work, { recursive: true, force: true })
  }
}

async function firstThatExists(files: readonly string[]): Promise<string | undefined> {
  for (const file of files) {
    const exists = await access(file).then(
      () => true,
      () => false,
    )
    if (exists) return file
  }
  return undefined
}

/** apt says what went wrong in its last lines on the error stream. */
function lastLine(error: unknown): string {
  const stderr =
    error instanceof Error && 'stderr' in error && typeof error.stderr === 'string' ? error.stderr : ''
  const lines = stderr.split('\n').filter((line) => /^[EW]:/.test(line))
  return lines.at(0) ?? (error instanceof Error ? error.message : String(error))
}
