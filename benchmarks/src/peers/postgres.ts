import { execFileSync, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Absent } from '../lib/absent.ts'
import { startTethered } from '../lib/tethered.ts'

/** A server of this process alone. */
export interface PostgresServer {
  /** Address of a database of this name. */
  readonly url: (database: string) => string
  readonly stop: () => Promise<void>
}

const user = 'benchmark'
const versions = '/usr/lib/postgresql'

/** The folder with the server's programs: on PATH, or where Debian has them, the newest version first. */
function programs(): string {
  const packaged = existsSync(versions)
    ? readdirSync(versions)
        .sort((a, b) => Number(b) - Number(a))
        .map((version) => join(versions, version, 'bin'))
    : []
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...packaged]
  const complete = (folder: string): boolean =>
    ['initdb', 'postgres', 'pg_isready'].every((program) => existsSync(join(folder, program)))
  const found = folders.find(complete)
  if (found === undefined) throw new Absent('PostgreSQL is not installed')
  return found
}

/** PostgreSQL refuses to run as root: then it runs as nobody. */
function identity(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string): number =>
    Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }).trim())
  return { uid: id('-u'), gid: id('-g') }
}

/** The version of the server that would be started; undefined where there is none. */
export function postgresVersion(): string | undefined {
  try {
    return execFileSync(join(programs(), 'postgres'), ['--version'], { encoding: 'utf8' }).trim()
  } catch (error) {
    if (error instanceof Absent) return undefined
    throw error
  }
}

/**
 * Starts a server with a new, empty database cluster in a temporary folder, which only its own user can enter; it
 * listens on a Unix socket there and on nothing else. Its settings are the defaults: `fsync` and `synchronous_commit`
 * are on, a commit is safe against power loss. Others are given as `name=value`.
 */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const bin = programs()
  const { uid, gid } = identity()
  const folder = mkdtempSync(join(tmpdir(), 'troupe-postgres-'))
  if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid)
  const as = { ...identity(), cwd: folder }
  const data = join(folder, 'data')
  // Only the making of the cluster is not synced.
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', user, '--auth=trust', '--locale=C', '-E', 'UTF8', '--no-sync'],
    {
      ...as,
      stdio: 'ignore',
    },
  )
  const others = settings.flatMap((setting) => ['-c', setting])
  const command = [join(bin, 'postgres'), '-D', data, '-k', folder, '-c', 'listen_addresses=', ...others]
  const { stop } = await startTethered({ folder, command, signal: 'QUIT', as: identity() })
  const ready = (): boolean =>
    spawnSync(join(bin, 'pg_isready'), ['-q', '-h', folder, '-U', user]).status === 0
  const deadline = performance.now() + 30_000
  while (!ready()) {
    if (performance.now() < deadline) continue
    await stop()
    throw new Error('PostgreSQL did not start within 30 s')
  }
  return { url: (database) => `postgresql://${user}@localhost/${database}?host=${folder}`, stop }
}
