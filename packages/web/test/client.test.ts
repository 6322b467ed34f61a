/** The client for browsers, in Node: what it makes of servers that go away, repeat themselves, or say nothing. */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { getEventListeners, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { fileURLToPath } from 'node:url'
import { createEngine, type Transition } from '@troupe/core'
import { sendResponse, transitionResponse } from '@troupe/web'
import { follow, FollowError } from '@troupe/web/client'
import { build } from 'esbuild'
import { afterEach, describe, expect, it } from 'vitest'
import { quick, shown, steps, until } from './support.ts'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
})

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

const types = { 'content-type': 'text/event-stream' }
const event = (run: string, position: number): string =>
  `id: ${run}:${position}\nevent: transition\ndata: {"n":"${run}${position} : \u2028é"}\n\n`
const end = 'id: end\nevent: end\ndata: {}\n\n'

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const taken: T[] = []
  for await (const item of items) taken.push(item)
  return taken
}

/** Answers each connection with the next of these, and cuts it; keeps the places that clients came with. */
async function script(
  ...answers: readonly string[]
): Promise<{ address: string; places: (string | undefined)[] }> {
  const places: (string | undefined)[] = []
  const address = await listen((req, res) => {
    const answer = answers[places.length] ?? end
    places.push(placeOf(req))
    res.writeHead(200, types)
    // In two pieces, cut in the middle of a character where there is one.
    const bytes = Buffer.from(`retry: 1\n\n${answer}`)
    const at = Math.max(bytes.indexOf(0xc3) + 1, 1)
    res.write(bytes.subarray(0, at))
    setImmediate(() => {
      res.write(bytes.subarray(at))
      setImmediate(() => (answer.endsWith(end) ? res.end() : res.destroy()))
    })
  })
  return { address, places }
}

const placeOf = (req: IncomingMessage): string | undefined =>
  req.headers['last-event-id'] as string | undefined

describe('the client', () => {
  it('gives the transitions of a run, each once and in order, and ends with it', async () => {
    await using engine = createEngine()
    const address = await listen((req, res) => {
      void sendResponse(res, transitionResponse(engine.watch({ flowRunId: 'run-1' }), req))
    })
    const run = engine.run(quick.with({ id: 'run-1' }), 1)
    const seen = await all(follow<Transition>(address))
    expect(seen).toEqual(await all(engine.watch({ flowRunId: run.id })))
    expect(shown(seen).at(-1)).toBe('quick Completed')
  })

  it('comes again with its place when it is cut off', async () => {
    const { address, places } = await script(event('a', 1) + event('a', 2), event('a', 3) + end)
    expect(await all(follow(address))).toEqual([1, 2, 3].map((n) => ({ n: `a${n} : \u2028é` })))
    expect(places).toEqual([undefined, 'a:2'])
  })

  it('takes an event that was cut in half when it comes again', async () => {
    const { address, places } = await script(event('a', 1) + event('a', 2).slice(0, -1), event('a', 2) + end)
    expect(await all(follow(address))).toHaveLength(2)
    expect(places).toEqual([undefined, 'a:1'])
  })

  it('leaves out what a server repeats that begins anew: a watch of several flow runs', async () => {
    const first = event('a', 1) + event('b', 1) + event('a', 2)
    const { address } = await script(
      first,
      event('a', 1) + event('a', 2) + event('b', 1) + event('b', 2) + end,
    )
    expect(await all(follow<{ n: string }>(address))).toEqual(
      ['a1', 'b1', 'a2', 'b2'].map((n) => ({ n: `${n} : \u2028é` })),
    )
  })

  it('gives those of a flow run that got the id of one that is forgotten', async () => {
    const of = (start: number, ...positions: number[]): string =>
      positions.map((n) => event('a', n).replace(`a:${n}`, `a:${n}:${start}`)).join('')
    const { address, places } = await script(of(1000, 1, 2, 3), of(1001, 1, 2, 3), of(5000, 1, 2) + end)
    expect(await all(follow(address))).toEqual([1, 2, 3, 1, 2].map((n) => ({ n: `a${n} : \u2028é` })))
    expect(places).toEqual([undefined, 'a:3:1000', 'a:3:1001'])
  })

  it('leaves nothing with the signal that may end it, however often it comes again', async () => {
    const { address } = await script(event('a', 1), event('a', 2), event('a', 3), event('a', 4) + end)
    const stop = new AbortController()
    const counts: number[] = []
    for await (const _ of follow(address, { signal: stop.signal }))
      counts.push(getEventListeners(stop.signal, 'abort').length)
    expect(counts).toEqual([1, 1, 1, 1])
    expect(getEventListeners(stop.signal, 'abort')).toEqual([])
  })

  it('comes again to a server that is away for a while, or can not answer', async () => {
    let count = 0
    const address = await listen((_, res) => {
      count++
      if (count === 1) res.destroy()
      else if (count < 4) res.writeHead(count === 2 ? 503 : 429, { 'content-type': 'text/html' }).end('<p>')
      else res.writeHead(200, types).end(`retry: 1\n\n${event('a', 1)}${end}`)
    })
    expect(await all(follow(address))).toHaveLength(1)
    expect(count).toBe(4)
  }, 60_000)

  it('ends where there is no more to come (204)', async () => {
    const address = await listen((_, res) => res.writeHead(204).end())
    expect(await all(follow(address))).toEqual([])
  })

  it.each([404, 401, 200])('fails where it is answered %i, without events', async (status) => {
    const address = await listen((_, res) =>
      res.writeHead(status, { 'content-type': 'text/html' }).end('<p>'),
    )
    const failure = await all(follow(address)).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(FollowError)
    expect(failure).toMatchObject({ status, message: `${address} answered ${status}` })
  })

  it('ends at once when it is aborted, or left, and closes its connection', async () => {
    await using engine = createEngine()
    const run = engine.run(steps, 1)
    let open = 0
    const address = await listen((req, res) => {
      open++
      res.once('close', () => open--)
      void sendResponse(res, transitionResponse(engine.watch({ flowRunId: run.id }), req))
    })
    const stop = new AbortController()
    let seen = 0
    for await (const _ of follow(address, { signal: stop.signal }))
      if (++seen === 5) setImmediate(() => stop.abort())
    expect(seen).toBe(5)
    await until(() => open === 0)
    for await (const _ of follow(address)) break
    await until(() => open === 0)
    expect(await all(follow(address, { signal: AbortSignal.abort() }))).toEqual([])
  })

  it('is aborted while it waits to come again', async () => {
    const stop = new AbortController()
    const address = await listen((_, res) => {
      res.writeHead(200, types).end('retry: 3600000\n\n', () => setImmediate(() => stop.abort()))
    })
    expect(await all(follow(address, { signal: stop.signal }))).toEqual([])
  })

  it('takes a connection for dead that has been quiet for too long, and comes again', async () => {
    const places: (string | undefined)[] = []
    const address = await listen((req, res) => {
      places.push(placeOf(req))
      res.writeHead(200, types)
      res.write(`retry: 1\n\n${event('a', places.length)}`)
      if (places.length === 3) res.end(end)
    })
    expect(await all(follow(address, { quiet: 1_000 }))).toHaveLength(3)
    expect(places).toEqual([undefined, 'a:1', 'a:2'])
  })

  it('sends the headers that it is given', async () => {
    let sent: string | undefined
    const address = await listen((req, res) => {
      sent = req.headers.authorization
      res.writeHead(200, types).end(end)
    })
    await all(follow(address, { headers: { authorization: 'Bearer x' } }))
    expect(sent).toBe('Bearer x')
  })

  it('is a few hundred bytes', async () => {
    const entry = fileURLToPath(new URL('../src/client/index.ts', import.meta.url))
    const built = await build({
      entryPoints: [entry],
      bundle: true,
      minify: true,
      format: 'esm',
      target: 'es2020',
      write: false,
    })
    expect(built.outputFiles).toHaveLength(1)
    const size = gzipSync(built.outputFiles[0]!.contents, { level: 9 }).length
    expect(size).toBeLessThan(1_000)
    expect(size).toBeGreaterThan(300)
  })
})
