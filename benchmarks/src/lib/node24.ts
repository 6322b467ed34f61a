import { execFileSync, spawnSync } from 'node:child_process'

/**
 * Runs this very command on Node 24 and gives its exit code.
 *
 * The binary comes from the npm registry (package `node`); npx is asked only for its path, so that the
 * measuring processes, started from `process.execPath`, are children of that binary and not of npx.
 */
export function rerunOnNode24(script: string, args: readonly string[]): number {
  const printPath = ['-y', 'node@24', '-p', 'process.execPath']
  const binary = execFileSync('npx', printPath, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()
  const rest = args.filter((arg) => arg !== '--node24')
  return spawnSync(binary, [script, ...rest], { stdio: 'inherit' }).status ?? 1
}
