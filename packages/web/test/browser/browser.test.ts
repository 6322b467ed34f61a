/** A page in a real Chromium follows a run, while the server that serves it is killed and started anew. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { launchChromium, type Browser, type Page } from '@troupe/chromium'
import { createEngine, type Transition } from '@troupe/core'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** What runs in the page. */
interface Shown {
  readonly seen: Transition[]
  readonly over: boolean
  readonly failure: string | undefined
}

/** A program for the page, with the client in it. */
async function program(source: string): Promise<string> {
  const built = await build({
    stdin: { contents: source, resolveDir: here('.'), loader: 'js' },
    alias: { '@troupe/web/client': here('../../src/client/index.ts') },
    bundle: true,
    format: 'esm',
    write: false,
  })
  return built.outputFiles[0]!.text.replaceAll('</script', '<\\/script')
}

const start = `window.shown = { seen: [], over: false, failure: undefined }
const show = (transition) => {
  window.shown.seen.push(transition)
  document.querySelector('ol').append(Object.assign(document.createElement('li'),
    { textContent: transition.runName + ' ' + transition.to.name }))
}`

const programs = {
  'the client': `import { follow } from '@troupe/web/client'
${start}
try {
  for await (const transition of follow('/events')) show(transition)
} catch (error) { window.shown.failure = String(error) }
window.shown.over = true`,
  'a bare EventSource': `${start}
const source = new EventSource('/events')
source.addEventListener('transition', ({ data }) => show(JSON.parse(data)))
source.addEventListener('error', () => { if (source.readyState === 2) window.shown.over = true })`,
}

let browser: Browser | undefined
beforeAll(async () => {
  browser = await launchChromium()
}, 600_000)
afterAll(() => browser?.close())

class Service {
  port = 0
  readonly folder = mkdtempSync(join(tmpdir(), 'troupe-web-'))
  readonly #script: string
  #child: ChildProcess | undefined

  constructor(script: string) {
    this.#script = script
  }

  async start(): Promise<void> {
    const args = [here('server-process.ts'), join(this.folder, 'runs'), String(this.port), this.#script]
    const child = spawn(process.execPath, ['--import', 'tsx', ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#child = child
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
    this.port = Number(line.split(' ')[1])
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async go(): Promise<void> {
    const { status } = await fetch(`${this.address}go`, { method: 'POST' })
    if (status !== 204) throw new TypeError(`it answered ${status}`)
  }

  get address(): string {
    return `http://127.0.0.1:${this.port}/`
  }

  /** All that the journal has, when nobody has it open. */
  async recorded(): Promise<Transition[]> {
    const journal = sqliteJournal(join(this.folder, 'runs'))
    const engine = createEngine({ journal })
    const transitions: Transition[] = []
    for await (const transition of engine.watch({ flowRunId: 'journey-1' })) transitions.push(transition)
    await engine.close()
    await journal.close()
    return transitions
  }
}

const shownBy = (page: Page): Promise<Shown> =>
  page.evaluate(() => (globalThis as unknown as { shown: Shown }).shown)

const waitFor = async (page: Page, step: string): Promise<void> => {
  await page.waitForFunction(
    (text) => {
      const { document } = globalThis as unknown as { document: { body: { textContent: string } } }
      return document.body.textContent.includes(text)
    },
    step,
    { timeout: 60_000 },
  )
}

describe.each(Object.entries(programs))('a page with %s', (_, source) => {
  it('sees each transition once and in order, across kills of the server', async () => {
    const service = new Service(await program(source))
    const page = await browser!.newPage()
    try {
      await service.start()
      await page.goto(service.address)
      await waitFor(page, 'step-1 Completed')
      await service.go()
      await waitFor(page, 'step-2 Completed')
      // Killed while it is followed; what happens in the meantime the page sees later.
      await service.kill()
      await service.start()
      await service.go()
      await waitFor(page, 'step-3 Completed')
      await service.go()
      await service.kill()
      await service.start()
      await waitFor(page, 'step-4 Completed')
      for (let leg = 4; leg <= 6; leg++) await service.go()
      await page.waitForFunction(() => (globalThis as unknown as { shown: Shown }).shown.over, undefined, {
        timeout: 60_000,
      })
      const shown = await shownBy(page)
      expect(shown.failure).toBeUndefined()
      await service.kill()
      const recorded = await service.recorded()
      expect(shown.seen).toEqual(recorded)
      expect(recorded.at(-1)).toMatchObject({ runName: 'journey', to: { name: 'Completed' } })
      expect(recorded.filter(({ kind, to }) => kind === 'flow' && to.name === 'Recovering')).toHaveLength(2)
    } finally {
      await page.close()
      await service.kill()
      rmSync(service.folder, { recursive: true, force: true, maxRetries: 3 })
    }
  }, 180_000)
})
