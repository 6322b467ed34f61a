/** The order service as people start it, and its page in a real Chromium, while its parts are killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { get } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { json } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import { jetstream } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import { connect } from '@nats-io/transport-node'
import { type Browser, type Page, launchChromium } from '@troupe/chromium'
import { createEngine } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { orderFlows } from '../src/orders/flows.ts'
import type { Part } from '../src/orders/parts.ts'
import { openWorld, type Mail, type Payment, type Shelf } from '../src/orders/world.ts'
import { unanswered, whereOrdersStand } from './stuck-orders.ts'

const program = fileURLToPath(new URL('../dist/orders/main.js', import.meta.url))
/** Where the screenshots are, to be looked at. */
const screenshots = join(tmpdir(), 'troupe-orders')
const patience = { timeout: 150_000 }

let browser: Browser | undefined
beforeAll(async () => {
  browser = await launchChromium()
}, 600_000)
afterAll(() => browser?.close())

/** The command, and what it says. */
class Shop {
  readonly child: ChildProcess
  output = ''

  constructor(port: number) {
    this.child = spawn(process.execPath, [program, '--port', String(port)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (data: Buffer) => (this.output += String(data)))
  }

  /** What it says that fits. @throws where it ends before */
  async says(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.output)?.[0]
      if (found !== undefined) return found
      if (this.child.exitCode !== null) throw new TypeError(`it ended, and said:\n${this.output}`)
      await Promise.race([once(this.child.stdout!, 'data'), once(this.child, 'exit')])
    }
  }

  async end(): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode
    const ended = once(this.child, 'exit')
    this.child.kill('SIGINT')
    await ended
    return this.child.exitCode
  }
}

const childrenOf = (pid: number): readonly number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
const argumentsOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'utf8')

/** What a node says of itself and of the others. */
interface Status {
  readonly node: string
  readonly parts: readonly Part[]
}

/** A card of the page. */
interface Card {
  readonly id: string
  readonly what: string
  readonly column: string
  readonly node: string
  readonly text: string
}

const allCards = `[...document.querySelectorAll('.card')].map((card) => ({
  id: card.dataset.order, what: card.querySelector('strong').textContent, text: card.querySelector('p').textContent,
  column: card.closest('section').dataset.column, node: card.querySelector('.node').textContent }))`
const cardsOf = (page: Page): Promise<readonly Card[]> => page.evaluate<readonly Card[]>(allCards)

const until = async (page: Page, condition: string): Promise<void> => {
  await page.waitForFunction(condition, undefined, { timeout: 150_000 })
}
const untilCards = (page: Page, count: number, columns: string): Promise<void> =>
  until(page, `document.querySelectorAll(':is(${columns}) .card').length >= ${count}`)

const anywhere = '.column'
const atTheEnd = '[data-column=notified], [data-column=refunded], [data-column=failed]'

/** Kills a part by its button. Resolves when the page says that it was started so often. */
async function kill(page: Page, part: string, starts: number): Promise<void> {
  await page.click(`[data-part="${part}"] button`, patience)
  await isStarted(page, part, starts)
}

const isStarted = async (page: Page, part: string, starts: number): Promise<void> => {
  await page.waitForSelector(`[data-part="${part}"][data-starts="${starts}"]:not(.down)`, patience)
}

/** All that each key ever was, the oldest first. */
async function historyOf(kv: KV): Promise<ReadonlyMap<string, readonly unknown[]>> {
  const values = new Map<string, unknown[]>()
  for await (const entry of await kv.history())
    values.set(entry.key, [...(values.get(entry.key) ?? []), entry.json()])
  return values
}

/** What is outside must fit what the page shows. */
async function checkWorld(servers: string, cards: readonly Card[]): Promise<void> {
  const nc = await connect({ servers })
  const history = await historyOf(await new Kvm(jetstream(nc)).open('world'))
  const was = <T>(key: string): readonly T[] => (history.get(key) ?? []) as readonly T[]
  const held: Record<string, Record<string, number>> = {}
  for (const { id, what, column } of cards) {
    const charges = was<Payment>(`payment.${id}`).map(({ state }) => state)
    const mails = was<Mail>(`mail.${id}`)
    const ends = {
      notified: [['charged']],
      refunded: [['charged', 'refunded']],
      failed: [['void'], ['charged', 'refunded']],
    }
    expect(ends[column as keyof typeof ends], `${id}, ${column}`).toContainEqual(charges)
    expect(mails, `mails of ${id}, ${column}`).toHaveLength(column === 'notified' ? 1 : 0)
    const [quantity, item = ''] = what.split(' × ')
    if (column === 'notified') (held[item] ??= {})[id] = Number(quantity)
  }
  for (const [item, supply] of [
    ['kite', 500],
    ['lamp', 500],
    ['globe', 5],
  ] as const) {
    const shelf = was<Shelf>(`stock.${item}`).at(-1) ?? { left: supply, held: {} }
    const kept = Object.entries(shelf.held).filter(([, quantity]) => quantity > 0)
    expect(Object.fromEntries(kept), `${item}`).toEqual(held[item] ?? {})
    expect(shelf.left + Object.values(shelf.held).reduce((a, b) => a + b, 0), `${item}`).toBe(supply)
  }
  await nc.close()
}

/** The flow runs of `accept`: their ends. */
async function accepted(servers: string): Promise<readonly string[]> {
  const engine = createEngine({ node: 'test', transport: natsTransport({ servers, namespace: 'shop' }) })
  const runs = await engine.list({ flow: 'accept' })
  const names = runs.map(({ state }) => state.name)
  await engine.close()
  return names
}

/** In all its looks, none of which may be wider than its window. */
async function look(page: Page, name: string): Promise<void> {
  for (const width of [1280, 390]) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.setViewportSize({ width, height: 800 })
      const path = join(screenshots, `${name}-${colorScheme}-${width}.png`)
      await page.screenshot({ path, fullPage: width === 390 })
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    }
  }
}

describe('the order service', () => {
  it('brings each order to its end once, whatever is killed, and its page shows it', async () => {
    mkdirSync(screenshots, { recursive: true })
    const shop = new Shop(0)
    const page = await browser!.newPage({ viewport: { width: 1280, height: 800 } })
    const failures: string[] = []
    page.on('pageerror', (error) => failures.push(String(error)))
    const requests = unanswered(page)
    let servers = ''
    try {
      servers = (await shop.says(/nats:\/\/\S+/)).trim()
      const address = (await shop.says(/http:\/\/localhost:\d+/)).trim()
      await page.goto(address)
      await isStarted(page, 'node one', 1)
      await isStarted(page, 'node two', 1)

      // More globes than there are, by the form; a bad one; one that is sent three times.
      await page.fill('[name=quantity]', '6')
      await page.selectOption('[name=item]', 'globe')
      await page.click('text=Place order')
      await page.click('text=A bad one')
      const order = { id: 'again', item: 'kite', quantity: 2, customer: 'ada@example.com', card: 'good' }
      const headers = { 'content-type': 'application/json' }
      const send = (body: object = order): Promise<Response> =>
        fetch(`${address}/orders`, { method: 'POST', headers, body: JSON.stringify(body) })
      expect((await send()).status).toBe(202)
      expect(await (await send()).json()).toEqual({ id: 'again' })

      // The first of the twenty is never answered, as when a node was killed between taking a connection and reading from it.
      await page.route('**/orders', () => undefined, { times: 1 })
      await page.click('text=Place twenty')
      await untilCards(page, 4, anywhere)
      const [{ node }] = (await cardsOf(page)) as [Card]
      await kill(page, `node ${node}`, 2)

      await page.click('text=Place twenty')
      await untilCards(page, 24, anywhere)
      await kill(page, 'nats-server', 2)
      await page.screenshot({ path: join(screenshots, 'killed.png') })

      await page.click('text=Place twenty')
      await untilCards(page, 46, anywhere)
      await kill(page, 'all', 8)

      // Past the memory of the stream for what it had: it is the key that keeps it from being two.
      const nc = await connect({ servers })
      await jetstream(nc).publish('orders.placed', JSON.stringify(order))

      // An id that is no word would be cut or lost in a header, and never work.
      for (const id of ['a\r\nb', ' again', 'again ', ''])
        expect((await send({ ...order, id })).status, `${JSON.stringify(id)}`).toBe(400)

      // A node that was taken for dead reserves after another one gave the stock back.
      const { stock } = await openWorld(nc)
      await stock.release('late', 'kite')
      await expect(stock.reserve('late', 'kite', 1)).rejects.toThrow('given up')
      await nc.close()

      await untilCards(page, 62, atTheEnd)
      await until(page, "!document.querySelector('#refused').hidden")
      await look(page, 'end')

      const cards = await cardsOf(page)
      expect(cards).toHaveLength(62)
      expect(new Set(cards.map(({ id }) => id)).size).toBe(62)
      const saying = (words: string): readonly Card[] => cards.filter(({ text }) => text.includes(words))
      expect(saying('sold out').map(({ column }) => column)).toEqual(['failed'])
      expect(saying('declined').map(({ column }) => column)).toEqual(Array(6).fill('failed'))
      expect(saying('no such mailbox').map(({ column }) => column)).toEqual(Array(6).fill('refunded'))
      expect(saying('taken over').length).toBeGreaterThan(0)
      expect(await page.textContent('#refused')).toContain('quantity: Too small')

      const ends = await accepted(servers)
      const completed = cards.filter(({ column }) => column === 'notified')
      expect(ends).toHaveLength(62)
      expect(ends.filter((name) => name === 'Completed')).toHaveLength(completed.length)
      await checkWorld(servers, cards)
      expect(failures).toEqual([])

      expect(await shop.end(), `${shop.output}`).toBe(0)
      await expect(fetch(address)).rejects.toThrow('fetch failed')
      await expect(connect({ servers })).rejects.toThrow('connection refused')
    } catch (error) {
      console.error(await whereOrdersStand({ page, requests, servers, output: shop.output }))
      throw error
    } finally {
      await page.close()
      await shop.end()
    }
  }, 400_000)

  it.runIf(process.platform === 'linux')(
    'answers everybody while one of its nodes hangs',
    async () => {
      const shop = new Shop(0)
      try {
        const address = (await shop.says(/http:\/\/localhost:\d+/)).trim()
        // Each by a connection of its own.
        const status = async (): Promise<Status> => {
          const [answer] = (await once(get(`${address}/status`, { agent: false }), 'response')) as [Readable]
          return (await json(answer)) as Status
        }
        const partsThatAreUp = async (): Promise<number> =>
          (await status()).parts.filter(({ isUp }) => isUp).length
        await expect.poll(partsThatAreUp, { timeout: 60_000 }).toBe(3)
        const [hanging] = childrenOf(shop.child.pid!).filter((pid) => argumentsOf(pid).includes('service.js'))
        process.kill(hanging!, 'SIGSTOP')
        const nodes = (await Promise.all(Array.from({ length: 6 }, status))).map(({ node }) => node)
        expect(new Set(nodes).size).toBe(1)
        process.kill(hanging!, 'SIGKILL')
      } finally {
        await shop.end()
      }
    },
    90_000,
  )

  it('says so where its port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const shop = new Shop(port)
    expect((await once(shop.child, 'exit'))[0]).toBe(1)
    expect(shop.output).toBe(`port ${port} is taken by another program; choose one: --port 3001\n`)
    other.close()
  }, 30_000)
})

describe('the flows of an order', () => {
  it('undo an order that is cancelled while it is being charged', async () => {
    const happened: string[] = []
    let begun: (() => void) | undefined
    const charging = new Promise<void>((resolve) => (begun = resolve))
    const { accept } = orderFlows({
      stock: {
        reserve: async () => (happened.push('reserve'), { left: 0, held: {} }),
        release: async () => (happened.push('release'), { left: 0, held: {} }),
      },
      payments: {
        charge: async (_order, _card, signal) => {
          begun?.()
          await once(signal, 'abort')
          throw signal.reason
        },
        refund: async () => (happened.push('refund'), { state: 'void' }),
      },
      mail: { send: async () => void happened.push('mail') },
    })
    const engine = createEngine()
    const order = { id: 'a', item: 'kite', quantity: 1, customer: 'ada@example.com', card: 'good' } as const
    const run = engine.run(accept, order)
    await charging
    expect((await run.cancel('not wanted any more')).name).toBe('Cancelled')
    expect(happened.toSorted()).toEqual(['refund', 'release', 'reserve'])
    await engine.close()
  })
})

describe('the guide of the order service', () => {
  it('shows code that is in its files', () => {
    const folder = fileURLToPath(new URL('../src/orders/', import.meta.url))
    const files = readdirSync(folder).filter((name) => name.endsWith('.ts'))
    const sources = files.map((name) => readFileSync(join(folder, name), 'utf8'))
    const guide = readFileSync(new URL('../../docs/orders.md', import.meta.url), 'utf8')
    const blocks = [...guide.matchAll(/^```js\n(.*?)^```$/gms)].map(([, block = '']) => block)
    expect(blocks.length).toBeGreaterThan(4)
    expect(blocks.filter((block) => !sources.some((source) => source.includes(block)))).toEqual([])
  })
})
