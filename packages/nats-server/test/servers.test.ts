import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { findServer, freePorts, serverVersion, startCluster, startServer } from '../src/index.ts'
import type { NatsCluster, NatsServer } from '../src/index.ts'

/** Enough to fetch a server first. */
const timeout = 180_000
const started: (NatsServer | NatsCluster)[] = []

afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()))
})

async function start(options: Parameters<typeof startServer>[0]): Promise<NatsServer> {
  const server = await startServer(options)
  started.push(server)
  return server
}

/** The first line that a server says to a client, parsed. */
function greeting(server: NatsServer): Promise<{ port: number; server_name: string; jetstream?: boolean }> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1').once('error', reject)
    socket.once('data', (data) => {
      socket.destroy()
      resolve(JSON.parse(data.toString().replace(/^INFO /, '')) as { port: number; server_name: string })
    })
  })
}

describe.each(['oldest', 'newest'] as const)('the %s server', (version) => {
  it('is of the line that was asked for', { timeout }, async () => {
    const [, minor = 0] = (await serverVersion(await findServer(version))).split('.').map(Number)
    expect(version === 'oldest' ? minor === 9 : minor > 9).toBe(true)
  })

  it('comes back on the same port and folder after a kill', { timeout }, async () => {
    const server = await start({ version })
    const { pid, storeDir } = server
    await server.healthy()
    expect(await greeting(server)).toMatchObject({ port: server.port, jetstream: true })
    await server.kill()
    expect(server.running).toBe(false)
    await expect(greeting(server)).rejects.toThrow('ECONNREFUSED')

    await server.restart()
    await server.healthy()
    expect(server.pid).not.toBe(pid)
    expect(existsSync(storeDir)).toBe(true)
    expect(await greeting(server)).toMatchObject({ port: server.port })
  })

  it('says when its process has ended, whoever ended it', { timeout }, async () => {
    const server = await start({ version, apart: true })
    for (let life = 1; life <= 2; life++) {
      const { pid, ended } = server
      process.kill(pid, 'SIGKILL')
      await ended
      expect(server.running).toBe(false)
      await server.restart()
      expect(server.ended).not.toBe(ended)
    }
  })

  it(
    'leaves no process and no folder when it is stopped, even one that stands still',
    { timeout },
    async () => {
      const server = await start({ version })
      await server.kill('SIGSTOP')
      expect(server.running).toBe(true)
      await server.stop()
      expect(server.running).toBe(false)
      expect(existsSync(server.storeDir)).toBe(false)
      expect(() => process.kill(server.pid, 0)).toThrow('ESRCH')
    },
  )

  it('ends with the process that started it, also when that one is killed', { timeout }, async () => {
    const program = `
      import { startServer } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}
      const { port } = await startServer({ version: '${version}' })
      process.stdout.write(String(port))`
    const args = ['--input-type=module', '--eval', program]
    const parent = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const [port] = (await once(parent.stdout, 'data')) as [Buffer]
    const client = connect(Number(port.toString()), '127.0.0.1').resume()
    await once(client, 'connect')
    // A server that is killed may reset its connections.
    client.on('error', () => undefined)
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
    parent.kill('SIGKILL')
    await closed
    const refused = async (): Promise<boolean> => {
      const again = connect(Number(port.toString()), '127.0.0.1')
      const answer = await once(again, 'connect').catch((error: unknown) => error)
      again.destroy()
      return (answer as { code?: string }).code === 'ECONNREFUSED'
    }
    // Its connections may be closed a moment before its port.
    await vi.waitUntil(refused, { timeout: 5_000 })
    expect(await refused()).toBe(true)
  })

  it('takes a configuration, and says with its log why it does not', { timeout }, async () => {
    const server = await start({ version, config: 'server_name: tester', jetstream: false })
    const info = await greeting(server)
    expect(info.server_name).toBe('tester')
    expect(info.jetstream ?? false).toBe(false)
    await expect(startServer({ version, config: 'nonsense: {' })).rejects.toThrow(
      /before it was ready:\nnats-server: .*(line 1|:1:)/i,
    )
  })

  it('forms a cluster that elects another leader when the one it has is killed', { timeout }, async () => {
    const cluster = await startCluster({ version })
    started.push(cluster)
    const first = await cluster.metaLeader()
    await first.kill()
    const second = await cluster.metaLeader()
    expect(second).not.toBe(first)
    await first.restart()
    await cluster.healthy()
    expect(cluster.servers.map(({ running }) => running)).toEqual([true, true, true])
  })
})

describe('a port that was given', () => {
  it('is given to nobody else while this process lives, though nobody listens on it', async () => {
    const ours = await freePorts(300)
    const program = `
      import { freePorts } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}
      console.log(JSON.stringify(await freePorts(300)))`
    const other = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [text, [code]] = await Promise.all([other.stdout.toArray(), once(other, 'close')])
    expect(code).toBe(0)
    const theirs = JSON.parse(Buffer.concat(text as Buffer[]).toString()) as number[]
    expect(new Set(theirs).size).toBe(300)
    expect(theirs.filter((port) => ours.includes(port))).toEqual([])
  })
})
