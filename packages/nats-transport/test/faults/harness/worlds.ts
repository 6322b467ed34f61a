/** Worlds of tests: each test has one of its own, on a server that they share. */
import { afterAll } from 'vitest'
import { Proxy } from './proxy.ts'
import { useCluster, useServer, versions } from '../../servers/index.ts'
import type { Settings } from './orders.ts'
import { clusterTimes, shortTimes } from './times.ts'
import { World, type WorldOptions } from './world.ts'

/** The servers that a file of faults runs on, and what its nodes need there. */
export interface Place {
  readonly urls: () => readonly string[]
  readonly settings: Settings
}

/**
 * One server of the newest version; or what `TROUPE_PLACE` says, which the script `test:servers` sets to each of them in turn: `newest`,
 * `oldest`, `newest-three`, `oldest-three`.
 */
export function usePlace(): Place {
  const [name, three] = (process.env['TROUPE_PLACE'] ?? 'newest').split('-')
  const version = versions.find((one) => one === name)
  if (version === undefined) throw new RangeError(`TROUPE_PLACE names no servers: ${name}`)
  if (three === undefined) {
    const server = useServer({ version })
    return { urls: () => [server().url], settings: { times: shortTimes } }
  }
  // Who comes by a proxy is not to hear of the ways that lead past it.
  const cluster = useCluster({ version, args: ['--no_advertise'] })
  return { urls: () => cluster().urls, settings: { replicas: 3, times: clusterTimes } }
}

/** Makes worlds and ways to a server, and ends them all after the tests of a file or `describe`. */
export function useWorlds({ urls, settings }: Place): {
  readonly world: (options?: Partial<WorldOptions>) => Promise<World>
  readonly proxy: () => Promise<Proxy>
} {
  const opened: { close(): Promise<void> }[] = []
  afterAll(async () => {
    await Promise.all(opened.map((one) => one.close()))
  }, 60_000)
  return {
    async world(options) {
      const world = await World.open({
        servers: urls(),
        ...options,
        settings: { ...settings, ...options?.settings },
      })
      opened.push(world)
      return world
    },
    async proxy() {
      const proxy = await Proxy.open(urls()[0] ?? '')
      opened.push(proxy)
      return proxy
    },
  }
}
