import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** Clones a commit of this repository into a temporary folder, installs and builds it. It is removed when the process ends. */
export function builtCheckout(commit: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-commit-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const run = (command: string, ...args: readonly string[]): void => {
    execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  process.stderr.write(`building ${commit} in ${folder}\n`)
  run('git', 'clone', '--quiet', root, '.')
  run('git', 'checkout', '--quiet', commit)
  run('npx', '-y', 'pnpm@12', 'install', '--frozen-lockfile')
  run('npx', 'tsc', '-b')
  return folder
}
