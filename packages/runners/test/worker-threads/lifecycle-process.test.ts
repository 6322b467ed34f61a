import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'

const program = fileURLToPath(new URL('tasks/programs.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'troupe-programs-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly lines: readonly string[]
  readonly errors: string
}

/** Runs a program until it ends by itself; `on` is called with each line that it writes. */
function run(
  name: string,
  on: (line: string, kill: (signal: NodeJS.Signals) => void) => void = () => undefined,
) {
  const [file, gate] = [join(folder, name), join(folder, `${name}, gate`)]
  const child = spawn(process.execPath, ['--import', 'tsx', program, name, file, gate], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) {
      lines.push(line)
      on(line, (signal) => child.kill(signal))
    }
  })
  return new Promise<Ended & { readonly file: string }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, lines, errors, file }))
  })
}

/** Sends a signal when the body is there. */
const whenThere =
  (signal: NodeJS.Signals) =>
  (line: string, kill: (signal: NodeJS.Signals) => void): void => {
    if (line === 'attempt 1') kill(signal)
  }

describe.concurrent('a program', () => {
  it.each([['leaves idle threads'], ['leaves warm threads']])('that %s ends by itself', async (name) => {
    expect(await run(name)).toMatchObject({ code: 0, lines: ['done'], errors: '' })
  })

  it('stays until a body has ended that nobody waits for', async () => {
    const name = 'does not wait for its run'
    const { code, lines, file } = await run(name, (line) => {
      if (line === 'body is there') writeFileSync(join(folder, `${name}, gate`), '')
    })
    expect(lines).toEqual(['done', 'body is there', 'ended: body'])
    expect(code).toBe(0)
    expect(readFileSync(file, 'utf8')).toBe('body 1\n')
  })

  it('that cancels its flow run at Ctrl-C ends cleanly, though the bodies do not stop', async () => {
    const { code, lines, errors } = await run('cancels at Ctrl-C', whenThere('SIGINT'))
    expect(lines).toEqual(['attempt 1', 'Cancelled', 'closed'])
    expect([code, errors]).toEqual([0, ''])
  })

  it('that does nothing at Ctrl-C is ended by it, whatever its threads do', async () => {
    const { signal, lines } = await run('does nothing at Ctrl-C', whenThere('SIGINT'))
    expect([signal, lines]).toEqual(['SIGINT', ['attempt 1']])
  })

  it('that exits ends, whatever its threads do', async () => {
    expect((await run('exits while bodies run')).code).toBe(7)
  })

  it('that throws ends, whatever its threads do', async () => {
    const { code, errors } = await run('throws while bodies run')
    expect(code).toBe(1)
    expect(errors).toContain('TypeError: of the program')
  })

  it('that closes its engine ends, though the bodies do not stop', async () => {
    const { code, lines } = await run('closes while bodies run')
    expect([code, lines.at(-1)]).toEqual([0, 'closed'])
  })
})
