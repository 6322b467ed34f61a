import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach } from 'vitest'
import type { Line, Order } from './lines.ts'

const alive = new Set<ChildProcess>()
const folders: string[] = []

afterEach(async () => {
  await Promise.all([...alive].map(kill))
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

export function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-traces-'))
  folders.push(folder)
  return folder
}

/** Starts a process. Resolves when it has said `word`. */
export async function started(order: Order, word: string): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('traced-process.ts', import.meta.url))
  const child = fork(program, [JSON.stringify(order)], { execArgv: ['--import', 'tsx'], stdio: 'pipe' })
  alive.add(child)
  child.once('exit', () => alive.delete(child))
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (text: Buffer) => (output += text.toString()))
  await new Promise<void>((resolve, reject) => {
    child.on('message', (said) => {
      if (said === word) resolve()
    })
    child.once('exit', () => reject(new RangeError(`the process ended before it said ${word}: ${output}`)))
  })
  return child
}

/** Ends a process as a power cut does. */
export async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

export function linesIn(file: string): Line[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
}
