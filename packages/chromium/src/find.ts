import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { ChromiumError } from './errors.ts'

const run = promisify(execFile)

/** Names a binary, and then nothing else is looked at. */
const variable = 'TROUPE_CHROMIUM'

const names = [
  'chromium',
  'chromium-browser',
  'google-chrome-stable',
  'google-chrome',
  'chromium-headless-shell',
  'microsoft-edge',
]

/** Where browsers are that are on nobody's PATH. */
const elsewhere = [
  '/usr/bin',
  '/usr/lib/chromium',
  '/snap/bin',
  '/Applications/Chromium.app/Contents/MacOS',
  '/Applications/Google Chrome.app/Contents/MacOS',
]
const elsewhereNames = [...names, 'Chromium', 'Google Chrome']

/** What the search looks at and does; a test has its own. */
export interface Machine {
  readonly env: NodeJS.ProcessEnv
  /** Whether packages may be installed: as root. */
  readonly isRoot: boolean
  /** Folders besides those of the PATH. */
  readonly folders: readonly string[]
  readonly run: (command: string, args: readonly string[]) => Promise<unknown>
}

const thisMachine: Machine = {
  env: process.env,
  isRoot: process.getuid?.() === 0,
  folders: elsewhere,
  run: (command, args) =>
    run(command, args, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' } }),
}

/**
 * Finds a Chromium, or a browser that is made of it: what `TROUPE_CHROMIUM` names, else one on the PATH or where browsers usually
 * are. Where there is none, root on a Debian installs its package `chromium`.
 *
 * @returns The path of a binary.
 * @throws {@link ChromiumError} Where there is none to be had. It says what was tried and what to install.
 */
export async function findChromium(machine: Machine = thisMachine): Promise<string> {
  const named = machine.env[variable]
  if (named !== undefined && named !== '') {
    if (await isProgram(named)) return named
    throw new ChromiumError(`${variable} names ${named}, which is no program.`)
  }
  const found = await look(machine)
  if (found !== undefined) return found
  const failure = await install(machine)
  const installed = failure === undefined ? await look(machine) : undefined
  if (installed !== undefined) return installed
  throw new ChromiumError(
    [
      'There is no Chromium here, and this test needs one.',
      `- looked for ${names.join(', ')} on the PATH and in ${machine.folders.join(', ')}`,
      `- ${failure ?? 'installed the package chromium, which brought no program of these names'}`,
      'Install one (apt-get install chromium, brew install --cask chromium), or name its binary:',
      `${variable}=/path/to/chromium.`,
    ].join('\n'),
  )
}

async function look({ env, folders }: Machine): Promise<string | undefined> {
  const path = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  for (const folder of path) {
    for (const name of names) if (await isProgram(join(folder, name))) return join(folder, name)
  }
  for (const folder of folders) {
    for (const name of elsewhereNames) if (await isProgram(join(folder, name))) return join(folder, name)
  }
  return undefined
}

/** @returns Why it is not installed; undefined when it is. */
async function install({ isRoot, run: execute }: Machine): Promise<string | undefined> {
  if (!isRoot) return "did not install Debian's, for that takes root"
  try {
    // Another test may be at it.
    const options = ['-q', '-y', '-o', 'DPkg::Lock::Timeout=600']
    await execute('apt-get', ['update', ...options])
    await execute('apt-get', ['install', '--no-install-recommends', ...options, 'chromium'])
    return undefined
  } catch (error) {
    return `could not install Debian's: ${reason(error)}`
  }
}

/** apt says what went wrong in its last lines on the error stream. */
function reason(error: unknown): string {
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
  const line = stderr.split('\n').findLast((each) => each.startsWith('E:'))
  return line ?? (error instanceof Error ? error.message : String(error))
}

async function isProgram(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}
