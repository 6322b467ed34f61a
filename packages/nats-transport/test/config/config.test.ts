/** The configurations that the package comes with, started as they are but for addresses. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { NatsConnection } from '@nats-io/transport-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isPassing } from '../../src/connection/errors.ts'
import { freePorts, onEach, startServer } from '../servers/index.ts'
import type { NatsServer, ServerVersion } from '../servers/index.ts'

const shipped = fileURLToPath(new URL('../../config/', import.meta.url))
const members = ['nats-cluster-1.conf', 'nats-cluster-2.conf', 'nats-cluster-3.conf'] as const
const always = '# sync_interval: always'
const timeout = 180_000

/** A copy of the files, and what is started with them: for the tests of a `describe`, ended after each. */
function useConfiguration() {
  let folder = ''
  const started: NatsServer[] = []
  const connections: NatsConnection[] = []

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'troupe-config-'))
    cpSync(shipped, folder, { recursive: true })
  })

  afterEach(async () => {
    await Promise.all(connections.splice(0).map((connection) => connection.close()))
    await Promise.all(started.splice(0).map((server) => server.stop()))
    rmSync(folder, { recursive: true, force: true })
  })

  const edit = (file: string, change: (text: string) => string): string => {
    const path = join(folder, file)
    const text = readFileSync(path, 'utf8')
    const changed = change(text)
    expect(changed).not.toBe(text)
    writeFileSync(path, changed)
    return path
  }

  const start = async (version: ServerVersion, configFile: string): Promise<NatsServer> => {
    const server = await startServer({ version, configFile, jetstream: 'configured' })
    started.push(server)
    return server
  }

  const startOne = (version: ServerVersion): Promise<NatsServer> => start(version, join(folder, 'nats.conf'))

  const startThree = async (
    version: ServerVersion,
    change = (text: string) => text,
  ): Promise<NatsServer[]> => {
    const routes = await freePorts(3)
    const moved = (text: string) =>
      text.replace(/\b622([234])\b/g, (_, digit) => `${routes[Number(digit) - 2]}`)
    const files = members.map((name) => edit(name, (text) => change(moved(text))))
    const servers = await Promise.all(files.map((file) => start(version, file)))
    await Promise.all(servers.map((server) => server.healthy()))
    return servers
  }

  const join3 = async (servers: readonly NatsServer[]): Promise<NatsConnection> => {
    const options = { maxReconnectAttempts: -1, reconnectTimeWait: 50, timeout: 20_000 }
    const connection = await connect({ servers: servers.map(({ url }) => url), ...options })
    connections.push(connection)
    return connection
  }

  return { edit, start, startOne, startThree, join3 }
}

async function tell(server: NatsServer, path: string): Promise<Record<string, unknown>> {
  const answer = await fetch(`${server.monitorUrl}${path}`)
  expect(answer.status).toBe(200)
  return (await answer.json()) as Record<string, unknown>
}

/** Makes the stream; a cluster that has just formed may have no leader, or not have heard of one of its servers yet. */
async function makeStream(connection: NatsConnection, replicas: number): Promise<void> {
  for (;;) {
    try {
      const manager = await jetstreamManager(connection)
      await manager.streams.add({ name: 'S', subjects: ['s.>'], num_replicas: replicas })
      return
    } catch (error) {
      if (!isPassing(error)) throw error
      await sleep(100)
    }
  }
}

/** Writes `count` messages, each acknowledged before the next. */
async function write(connection: NatsConnection, count: number, replicas: number): Promise<void> {
  await makeStream(connection, replicas)
  const js = jetstream(connection)
  for (let index = 1; index <= count; index++) {
    expect((await js.publish('s.x', String(index))).seq).toBe(index)
  }
}

/** How many messages there are; asks until there is a leader that answers. */
async function messages(connection: NatsConnection): Promise<number> {
  for (;;) {
    try {
      const manager = await jetstreamManager(connection, { timeout: 2_000 })
      const { state } = await manager.streams.info('S')
      const last = await manager.streams.getMessage('S', { last_by_subj: 's.x' })
      expect(last?.string()).toBe(String(state.last_seq))
      return state.messages
    } catch (error) {
      if (error instanceof Error && error.name === 'AssertionError') throw error
    }
  }
}

it('every file of the folder is tried here, or included by one that is', () => {
  const roots = ['nats.conf', ...members]
  const included = roots.flatMap((name) => {
    const text = readFileSync(join(shipped, name), 'utf8')
    return [...text.matchAll(/^(?:# )?include "(.*)"/gm)].map(([, file]) => file)
  })
  const roles = readdirSync(shipped).filter((name) => name.startsWith('role-'))
  expect(new Set(readdirSync(shipped))).toEqual(new Set([...roots, ...included, ...roles]))
})

it('the three of a cluster differ in names, addresses and folders, and know each other', () => {
  const texts = members.map((name) => readFileSync(join(shipped, name), 'utf8').split('\n'))
  const own = texts.map((lines) => lines.filter((line) => !line.startsWith('#')))
  const numberless = own.map((lines) =>
    lines.map((line, index) =>
      /routes:/.test(line) ? line : line.replace(/[1-4](?=")/, 'N').replace(/822[234]/, 'N') + index,
    ),
  )
  expect(numberless[1]).toEqual(numberless[0])
  expect(numberless[2]).toEqual(numberless[0])
  for (const [index, lines] of own.entries()) {
    expect(lines).toContain(`server_name: "troupe-${index + 1}"`)
    expect(lines).toContain(`  listen: "127.0.0.1:${6222 + index}"`)
    expect(lines.find((line) => line.includes('routes:'))).toContain(`nats://127.0.0.1:${6222 + index}`)
  }
})

onEach(
  'on the %s server',
  'the files',
  (version) => {
    const { startOne, startThree, join3 } = useConfiguration()

    it('one server starts, is healthy, and has what the file says', async () => {
      const server = await startOne(version)
      await server.healthy()
      expect(await tell(server, '/varz')).toMatchObject({
        server_name: 'troupe',
        max_payload: 1_048_576,
        max_control_line: 32_768,
        ping_interval: 10_000_000_000,
        ping_max: 2,
        jetstream: { config: { max_storage: 10 * 1024 ** 3, max_memory: 256 * 1024 ** 2 } },
      })
      expect(readdirSync(server.folder)).toContain('nats-data')
    })

    it('one server has all that it acknowledged after a kill right after the acknowledgement', async () => {
      const server = await startOne(version)
      const connection = await join3([server])
      await write(connection, 200, 1)
      await server.kill()
      await server.restart()
      expect(await messages(connection)).toBe(200)
    })

    it('three servers start, are healthy, and form one cluster', async () => {
      const servers = await startThree(version)
      for (const [index, server] of servers.entries()) {
        expect(await tell(server, '/varz')).toMatchObject({ server_name: `troupe-${index + 1}`, ping_max: 2 })
        expect(await tell(server, '/jsz')).toMatchObject({
          meta_cluster: { name: 'troupe', cluster_size: 3 },
        })
      }
    })

    it('three servers have all that they acknowledged after the kill of all three at once', async () => {
      const servers = await startThree(version)
      const connection = await join3(servers)
      await write(connection, 200, 3)
      await Promise.all(servers.map((server) => server.kill()))
      await Promise.all(servers.map((server) => server.restart()))
      expect(await messages(connection)).toBe(200)
    })

    it('three servers have all after one lost its disk and then another one is gone', async () => {
      const servers = await startThree(version)
      const connection = await join3(servers)
      await write(connection, 200, 3)
      const [first, second] = servers
      await first?.kill()
      rmSync(join(first?.folder ?? '', 'nats-data-1'), { recursive: true })
      await first?.restart()
      await first?.healthy()
      await second?.kill()
      expect(await messages(connection)).toBe(200)
    })
  },
  { timeout },
)

describe('each write on the disk', { timeout }, () => {
  const { edit, start, startThree } = useConfiguration()

  it('is what the newest server does when the line is switched on, alone and in a cluster', async () => {
    const on = (text: string) => text.replace(always, always.slice(2))
    const server = await start('newest', edit('nats.conf', on))
    await server.healthy()
    const three = await startThree('newest', on)
    for (const each of [server, ...three]) {
      expect(await tell(each, '/jsz?config=true')).toMatchObject({ config: { sync_always: true } })
    }
  })

  it('is refused by the oldest server, with the name of the option', async () => {
    const file = edit('nats.conf', (text) => text.replace(always, always.slice(2)))
    await expect(start('oldest', file)).rejects.toThrow('unknown field "sync_interval"')
  })
})
