/**
 * Real nats-servers for the tests of this package. All of `@troupe/nats-server`, and hooks that start a server or a cluster
 * for a file or a `describe` and end it after its tests.
 */
import { startCluster, startServer } from '@troupe/nats-server'
import type { ClusterOptions, NatsCluster, NatsServer, ServerOptions } from '@troupe/nats-server'
import { afterAll, beforeAll, describe } from 'vitest'

export { freePorts, startCluster, startServer } from '@troupe/nats-server'
export type { NatsCluster, NatsServer, ServerVersion } from '@troupe/nats-server'

/** The servers that each test of a real one runs on: `describe.each(versions)('… on the %s server', (version) => …)`. */
export const versions = ['oldest', 'newest'] as const

/**
 * The same for tests that need three of them: the newest. With `TROUPE_SERVERS=all`, as the script `test:servers` has it, the
 * oldest too: on a busy machine a stream of three of those is left without a leader, for good, about once in four times that a
 * server is killed and comes back.
 */
export const clusterVersions: readonly Version[] =
  process.env['TROUPE_SERVERS'] === 'all' ? versions : ['newest']

type Version = (typeof versions)[number]

/**
 * The same tests on each of the versions: on all of them at once, for they wait most of their time, and of one version one after
 * another.
 *
 * @param where - With `%s` in the place of the version.
 */
export function onEach(
  where: string,
  what: string,
  tests: (version: Version) => void,
  options: { readonly timeout?: number; readonly on?: readonly Version[] } = {},
): void {
  const { on = versions, ...rest } = options
  describe.concurrent.each(on)(`${where}`, (version) => {
    describe.sequential(`${what}`, rest, () => {
      tests(version)
    })
  })
}

/** Enough to fetch a server first. */
const hookTimeout = 180_000

/**
 * Starts a server before the tests of this file or `describe`, and ends it after them.
 *
 * @returns Gives the server, within tests and hooks.
 */
export function useServer(options: ServerOptions = {}): () => NatsServer {
  return use(() => startServer(options))
}

/** Starts a cluster of three before the tests of this file or `describe`, and ends it after them. */
export function useCluster(options: ClusterOptions = {}): () => NatsCluster {
  return use(() => startCluster(options))
}

function use<T extends { stop(): Promise<void> }>(start: () => Promise<T>): () => T {
  let started: T | undefined
  beforeAll(async () => {
    started = await start()
  }, hookTimeout)
  afterAll(() => started?.stop(), hookTimeout)
  return () => {
    if (started === undefined) throw new Error('The server is there only within tests and hooks.')
    return started
  }
}
