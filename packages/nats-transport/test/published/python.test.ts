/** The reader of the guide in Python, as it stands there, with the client that it names. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createEngine, flow } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'
import { describe, expect, it } from 'vitest'
import { until } from '../faults/harness/until.ts'
import { useServer } from '../servers/index.ts'

const run = promisify(execFile)
const version = '2.16.0'
const cache = fileURLToPath(new URL('../../../../node_modules/.cache/troupe/', import.meta.url))

/** A Python that has the client: installed once, from the Python Package Index. @throws where something is missing, and says what */
async function python(): Promise<string> {
  const folder = `${cache}nats-py-${version}`
  const found = `${folder}/bin/python`
  if (existsSync(found)) return found
  const made = `${folder}-${process.pid}`
  mkdirSync(cache, { recursive: true })
  try {
    await run('python3', ['-m', 'venv', '--copies', made])
    await run(`${made}/bin/python`, ['-m', 'pip', 'install', '--quiet', `nats-py==${version}`])
  } catch (error) {
    rmSync(made, { recursive: true, force: true })
    const message = `this test needs python3 with venv, and nats-py ${version} from the Python Package Index`
    throw new TypeError(message, { cause: error })
  }
  // Another process may have been faster.
  if (existsSync(found)) rmSync(made, { recursive: true })
  else renameSync(made, folder)
  return found
}

describe('the guide', () => {
  const server = useServer({ version: 'newest' })

  it('has a reader in Python that hears of what failed', async () => {
    const guide = readFileSync(new URL('../../../../docs/subjects.md', import.meta.url), 'utf8')
    const [, block = ''] = /^```python\n(.*?)^```$/ms.exec(guide) ?? []
    expect(block).toContain('nats://127.0.0.1:4222')
    const program = block.replace('nats://127.0.0.1:4222', server().url)
    const child = spawn(await python(), ['-u', '-c', program], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PYTHONUTF8: '1' },
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += String(data)))
    const ended = once(child, 'exit')
    const transport = natsTransport({ servers: server().url, namespace: 'shop', publish: 'json' })
    const engine = createEngine({ node: 'n1', transport })
    const pay = flow({ name: 'pay', runName: 'pay {0}' }, (n: number) => {
      throw new RangeError(`größer als erlaubt: ${n} €`)
    })
    try {
      // It hears of what happens while it listens: the first may come too early for it.
      let n = 0
      await until('it has heard', async () => {
        if (child.exitCode !== null) throw new TypeError(`it has ended, and said:\n${said}`)
        await engine.run(pay, ++n).wait()
        return said !== ''
      })
      expect(said).toMatch(/^pay (\d+) größer als erlaubt: \1 €\n/)
    } finally {
      child.kill()
      await ended
      await engine.close()
    }
  }, 120_000)
})
