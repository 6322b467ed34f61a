import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { connect } from '@nats-io/transport-node'
import { createEngine } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'
import { afterEach, describe, expect, it } from 'vitest'
import { hangUp } from '../../src/connection/dial.ts'
import { Proxy } from '../faults/harness/proxy.ts'
import { freePorts, startServer, useServer, versions } from '../servers/index.ts'
import { append, create, nodeAt, note, type TestNode } from '../support.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

function node(options: Parameters<typeof nodeAt>[0]): TestNode {
  const made = nodeAt(options)
  closing.push(() => made.close())
  return made
}

/** A server that says hello as one of a version, and answers pings. */
async function greeter(version: string): Promise<string> {
  const info = {
    server_id: 'x',
    server_name: 'x',
    version,
    go: 'x',
    host: 'x',
    port: 1,
    headers: true,
    max_payload: 1_048_576,
    proto: 1,
    client_id: 1,
  }
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.write(`INFO ${JSON.stringify(info)}\r\n`)
    socket.on('data', (bytes) => {
      if (bytes.includes('PING\r\n')) socket.write('PONG\r\n')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('what is wrong with a server is said when it is first needed', () => {
  it('is not there: the address, and what to do', async () => {
    const [port = 0] = await freePorts(1)
    const { journal } = node({ servers: `127.0.0.1:${port}` })
    await expect(journal.summary('run')).rejects.toMatchObject({
      name: 'JournalError',
      code: 'TRANSPORT_UNAVAILABLE',
      message: expect.stringMatching(`127.0.0.1:${port}.*nats-server --jetstream.*servers`),
      details: { reason: 'connect' },
    })
  })

  it.each(['2.9.3', '2.8.4', '1.4.1', '0.0.0'])(
    'is too old: version %s, and the one that is needed',
    async (version) => {
      const { journal } = node({ servers: await greeter(version) })
      await expect(create(journal, 'run')).rejects.toMatchObject({
        code: 'TRANSPORT_UNSUPPORTED',
        message: expect.stringMatching(`${version}.*2\\.9\\.4`),
        details: { version, needed: '2.9.4' },
      })
    },
  )

  it('would delete from journals where their stream is full: the version that does not', async () => {
    const servers = await greeter('2.9.25')
    await expect(create(node({ servers, maxBytes: 1_048_576 }).journal, 'run')).rejects.toMatchObject({
      code: 'TRANSPORT_UNSUPPORTED',
      message: expect.stringMatching('2\\.9\\.25.*`maxBytes` needs 2\\.10 or newer.*leave the option out'),
      details: { version: '2.9.25', needed: '2.10' },
    })
  })

  it.each(versions)('has no JetStream: %s', async (version) => {
    const server = await startServer({ version, jetstream: false })
    closing.push(() => server.stop())
    const { journal } = node({ servers: server.url })
    await expect(create(journal, 'run')).rejects.toMatchObject({
      code: 'TRANSPORT_UNSUPPORTED',
      message: expect.stringContaining('--jetstream'),
    })
  })

  it.each(versions)('does not know the user: %s', async (version) => {
    const config = 'authorization { user: me, password: right }'
    const server = await startServer({ version, config })
    closing.push(() => server.stop())
    const wrong = node({ servers: server.url, auth: { user: 'me', password: 'wrong' } })
    await expect(create(wrong.journal, 'run')).rejects.toMatchObject({
      code: 'TRANSPORT_UNAVAILABLE',
      message: expect.not.stringContaining('wrong'),
      details: { reason: 'authorization' },
    })
    const right = node({ servers: server.url, auth: { user: 'me', password: 'right' } })
    await create(right.journal, 'run')
  })

  it('is asked again by the next call, and found when it is there', async () => {
    const [port = 0] = await freePorts(1)
    const { journal } = node({ servers: `127.0.0.1:${port}` })
    await expect(create(journal, 'run')).rejects.toMatchObject({ code: 'TRANSPORT_UNAVAILABLE' })
    const server = await startServer({ port })
    closing.push(() => server.stop())
    await create(journal, 'run')
  })
})

describe.each(versions)('a connection to the %s server', (version) => {
  const server = useServer({ version })

  it('is the user’s own, where a function makes it', async () => {
    let made = 0
    const { journal } = node({
      connection: () => {
        made++
        return connect({ servers: server().url })
      },
    })
    await create(journal, 'run')
    expect(await journal.read('run', 1, 10)).toHaveLength(2)
    // One for appends, one for what is long.
    expect(made).toBe(2)
  })

  it('that is lost is reported, made again, and what was asked meanwhile is answered then', async () => {
    const proxy = await Proxy.open(server().url)
    closing.push(() => proxy.close())
    const { journal, reports } = node({ servers: proxy.url })
    await create(journal, 'run')
    proxy.cut()
    const asked = [append(journal, 'run', 2, [note('a')]), journal.summary('run')] as const
    proxy.heal()
    expect(await asked[0]).toBeUndefined()
    expect(await asked[1]).toMatchObject({ flowRunId: 'run' })
    expect(reports).toContainEqual(expect.objectContaining({ code: 'TRANSPORT_UNAVAILABLE' }))
  })

  it('that is lost makes an engine unready until it is there again', async () => {
    const proxy = await Proxy.open(server().url)
    closing.push(() => proxy.close())
    const engine = createEngine({ transport: natsTransport({ servers: proxy.url, namespace: 'unready' }) })
    closing.push(() => engine.close())
    await engine.announced()
    expect(engine.health()).toMatchObject({ open: true, ready: true, unready: [] })
    proxy.cut()
    // The first error may be of a request that failed before the connection was known to be lost.
    await expect.poll(() => engine.health().ready, { timeout: 20_000 }).toBe(false)
    expect(engine.health()).toMatchObject({ open: true })
    expect(engine.health().unready).toEqual([
      expect.stringMatching(/^it is not connected to the NATS server at .*\d$/),
    ])
    proxy.heal()
    await expect.poll(() => engine.health().ready, { timeout: 20_000 }).toBe(true)
  })

  it('closes though the server has just ended it and something was written since', async () => {
    const thrown: unknown[] = []
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => void thrown.push(error))
    try {
      for (let round = 0; round < 5; round++) {
        const proxy = await Proxy.open(server().url)
        closing.push(() => proxy.close())
        const nc = await connect({ servers: proxy.url })
        const { protocol } = nc as unknown as { protocol: { transport: { socket: Socket } } }
        const { socket } = protocol.transport
        const ended = once(socket, 'end')
        proxy.cut()
        await ended
        nc.publish('somewhere', 'x')
        await Promise.resolve()
        await hangUp(nc)
        if (!socket.closed) await once(socket, 'close')
      }
    } finally {
      process.removeAllListeners('uncaughtException')
      for (const other of others) process.on('uncaughtException', other)
    }
    expect(thrown).toEqual([])
  })

  it('closes at once, whatever waits for it', async () => {
    const proxy = await Proxy.open(server().url)
    closing.push(() => proxy.close())
    const made = nodeAt({ servers: proxy.url })
    const { journal } = made
    await create(journal, 'run')
    proxy.cut()
    const waiting = append(journal, 'run', 2, [note('a')])
    const refused = waiting.catch((error: unknown) => error)
    await made.close()
    expect(await refused).toMatchObject({ code: 'ENGINE_CLOSED' })
  })
})
