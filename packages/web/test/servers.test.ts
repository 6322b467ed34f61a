/** A stream served by the servers that people have: in one line each, over real sockets. */
import { createServer, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { serve } from '@hono/node-server'
import { createEngine, flow, task, type Engine } from '@troupe/core'
import { sendResponse, transitionResponse, type TransitionResponseOptions } from '@troupe/web'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { afterEach, describe, expect, it } from 'vitest'
import { eventsOf, listening, quick, shown, steps, transitionsOf, until } from './support.ts'

interface Site {
  readonly server: Server
  readonly close: () => Promise<void>
}

const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port

async function closed(server: Server): Promise<void> {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}

const sites: Readonly<Record<string, (engine: Engine, options: TransitionResponseOptions) => Promise<Site>>> =
  {
    async 'node:http'(engine, options) {
      const server = createServer((req, res) => {
        const flowRunId = req.url?.split(/[/?]/)[1] ?? ''
        void sendResponse(res, transitionResponse(engine.watch({ flowRunId }), req, options))
      })
      await once(server.listen(0, '127.0.0.1'), 'listening')
      return { server, close: () => closed(server) }
    },
    async express(engine, options) {
      const app = express()
      app.get('/:id', (req, res) =>
        sendResponse(res, transitionResponse(engine.watch({ flowRunId: req.params.id }), req, options)),
      )
      const server = app.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return { server, close: () => closed(server) }
    },
    async fastify(engine, options) {
      const app = fastify({ forceCloseConnections: true })
      app.get<{ Params: { id: string } }>('/:id', (req) =>
        transitionResponse(engine.watch({ flowRunId: req.params.id }), req, options),
      )
      await app.listen({ port: 0, host: '127.0.0.1' })
      return { server: app.server, close: () => app.close() }
    },
    async hono(engine, options) {
      const app = new Hono()
      app.get('/:id', (c) =>
        transitionResponse(engine.watch({ flowRunId: c.req.param('id') }), c.req.raw, options),
      )
      const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server
      await once(server, 'listening')
      return { server, close: () => closed(server) }
    },
  }

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Served {
  readonly engine: Engine
  readonly base: string
  readonly port: number
  /** Who listens to the journal. */
  readonly count: () => number
  /** The most bytes that a socket of the server has held back so far. */
  readonly held: () => number
}

async function served(name: string, options: TransitionResponseOptions = {}): Promise<Served> {
  const { journal, count } = listening()
  const engine = createEngine({ journal })
  closers.push(() => engine.close())
  const site = await sites[name]!(engine, options)
  closers.push(site.close)
  const sockets = new Set<Socket>()
  site.server.on('connection', (socket: Socket) => sockets.add(socket))
  let most = 0
  const held = (): number => {
    for (const socket of sockets) most = Math.max(most, socket.writableLength)
    return most
  }
  const port = portOf(site.server)
  return { engine, base: `http://127.0.0.1:${port}`, port, count, held }
}

/** A flow run of about 24 MB of events, of which sockets take a few. */
const words = task({ name: 'words', runName: 'x'.repeat(4_000) }, (n: number) => n)
const wordy = flow('wordy', async (n: number) => {
  for (let i = 0; i < n; i++) await words(i)
  return n
})
const many = 2_000

describe.each(Object.keys(sites))('%s', (name) => {
  it('serves a run to its end', async () => {
    const { engine, base } = await served(name)
    const run = engine.run(quick, 1)
    const response = await fetch(`${base}/${run.id}`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(response.headers.get('cache-control')).toBe('no-cache, no-transform')
    const events = eventsOf(await response.text())
    expect(shown(transitionsOf(events)).at(-1)).toBe('quick Completed')
    expect(events.at(-1)?.event).toBe('end')
    const [, second] = transitionsOf(events)
    const headers = { 'last-event-id': `${run.id}:${second?.position}` }
    const rest = eventsOf(await (await fetch(`${base}/${run.id}`, { headers })).text())
    expect(transitionsOf(rest)).toEqual(transitionsOf(events).slice(2))
    expect((await fetch(`${base}/${run.id}`, { headers: { 'last-event-id': 'end' } })).status).toBe(204)
  })

  it('answers 404 for a run that there is not, and 200 to a HEAD', async () => {
    const { engine, base } = await served(name)
    const response = await fetch(`${base}/nobody`)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ code: 'RUN_NOT_FOUND' })
    // Fastify's own HEAD routes take no Response at all.
    if (name === 'fastify') return
    const run = engine.run(quick, 1)
    await run
    const head = await fetch(`${base}/${run.id}`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
  })

  it('sends what comes as it comes, and stops watching when the client has gone', async () => {
    const { engine, base, count } = await served(name)
    const run = engine.run(steps, 5)
    const before = count()
    const gone = new AbortController()
    const response = await fetch(`${base}/${run.id}`, { signal: gone.signal })
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const has = async (what: string): Promise<void> => {
      while (!text.includes(what)) text += (await reader.read()).value ?? ''
    }
    await has('"step-1"')
    await run.signal('go')
    await has('"step-2"')
    expect(count()).toBe(before + 1)
    gone.abort()
    await until(() => count() === before)
  })

  it('holds no more than a chunk for a client that does not read, which has all when it reads', async () => {
    const { engine, port, count, held } = await served(name)
    const run = engine.run(wordy, many)
    await run
    const before = count()
    const socket = await stuck(port, `/${run.id}`)
    await until(() => held() > 0)
    expect(count()).toBe(before + 1)
    const read = await eventually(socket, held)
    expect(read.match(/event: transition/g)).toHaveLength(3 * many + 3)
    expect(read.length).toBeGreaterThan(20_000_000)
    expect(held()).toBeLessThan(200_000)
    await until(() => count() === before)
  })

  it('cuts off a client that does not read', async () => {
    const { engine, port, count, held } = await served(name, { idleAfter: 20 })
    const run = engine.run(wordy, many)
    await run
    const before = count()
    const socket = await stuck(port, `/${run.id}`)
    await until(() => held() > 0)
    await until(() => count() === before)
    const read = await eventually(socket, held)
    expect(read).not.toContain('event: end')
    expect(read.length).toBeLessThan(20_000_000)
  })
})

/** A client that has asked, and does not read. */
async function stuck(port: number, path: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.pause()
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`)
  return socket
}

/** All that comes when it reads at last. */
async function eventually(socket: Socket, look: () => void): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    look()
  })
  // Cut off, it may be told so by an error.
  socket.on('error', () => undefined)
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(chunks).toString('latin1')
}
