import { execFileSync, spawnSync } from 'node:child_process'
import { UsageError } from './options.ts'

let found: string | undefined

/** Path of a Node 24: of this very binary, where it is no older; undefined where npx can't fetch one. */
export function node24Path(): string | undefined {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  try {
    found ??= fetchNode24()
  } catch {
    return undefined
  }
  return found
}

/** Its version; `none` where there is none. */
export function node24Version(): string {
  const path = node24Path()
  if (path === undefined) return 'none'
  return execFileSync(path, ['--version'], { encoding: 'utf8' }).trim().replace('v', '')
}

/** From the npm registry (package `node`). npx is asked only for the path: it is no parent of what measures. */
function fetchNode24(): string {
  const printPath = ['-y', 'node@24', '-p', 'process.execPath']
  return execFileSync('npx', printPath, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()
}

/**
 * Runs this very command on Node 24 and gives its exit code.
 *
 * @throws {@link UsageError} Where it can't be fetched.
 */
export function rerunOnNode24(script: string, args: readonly string[]): number {
  const binary = node24Path()
  if (binary === undefined) throw new UsageError('Node 24 could not be fetched from the npm registry')
  const rest = args.filter((arg) => arg !== '--node24')
  return spawnSync(binary, [script, ...rest], { stdio: 'inherit' }).status ?? 1
}
