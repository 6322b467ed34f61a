/** Worlds of tests: each test has one of its own, on a server that they share. */
import { afterAll } from 'vitest'
import { Proxy } from './proxy.ts'
import { shortTimes } from './times.ts'
import { World, type WorldOptions } from './world.ts'

/** Makes worlds and ways to a server, and ends them all after the tests of a file or `describe`. */
export function useWorlds(urls: () => readonly string[]): {
  readonly world: (options?: Partial<WorldOptions>) => Promise<World>
  readonly proxy: () => Promise<Proxy>
} {
  const opened: { close(): Promise<void> }[] = []
  afterAll(async () => {
    await Promise.all(opened.map((one) => one.close()))
  }, 60_000)
  return {
    async world(options) {
      const world = await World.open({ servers: urls(), settings: { times: shortTimes }, ...options })
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
