import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UsageError } from './options.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const built = new Map<string, string>()

/**
 * Clones a commit of this repository into a temporary folder, installs and builds it, once. It is removed when the process ends.
 *
 * @throws {@link UsageError} Where there is no such commit.
 */
export function builtCheckout(commit: string): string {
  const folder = built.get(commit) ?? build(commit)
  built.set(commit, folder)
  return folder
}

function build(commit: string): string {
  const { status } = spawnSync('git', ['cat-file', '-e', `${commit}^{commit}`], {
    cwd: root,
    stdio: 'ignore',
  })
  if (status !== 0) throw new UsageError(`no commit ${commit} in this repository`)
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
