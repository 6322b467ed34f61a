import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Where binaries are kept, one folder per version: `node_modules/.cache/troupe/nats-server` of the repository, or what
 * `TROUPE_NATS_SERVER_CACHE` names.
 */
export function cacheFolder(): string {
  const named = process.env['TROUPE_NATS_SERVER_CACHE']
  if (named !== undefined && named !== '') return named
  const root = repository(dirname(fileURLToPath(import.meta.url)))
  const base = root === undefined ? join(homedir(), '.cache') : join(root, 'node_modules', '.cache')
  return join(base, 'troupe', 'nats-server')
}

function repository(folder: string): string | undefined {
  if (existsSync(join(folder, 'pnpm-workspace.yaml'))) return folder
  const parent = dirname(folder)
  return parent === folder ? undefined : repository(parent)
}
