import { checkWorld } from './checks.ts'
import type { Library } from './flows.ts'
import { planCluster } from './plan.ts'
import { World } from './world.ts'

/** What became of the cluster of a seed. */
export interface Lived {
  /** What must not happen and did. */
  readonly violations: readonly { readonly check: string; readonly message: string }[]
  readonly log: string
  readonly crashes: number
  /** Flow runs that went on on another node, or in another process. */
  readonly takeovers: number
  readonly bodies: number
  /** Bodies that began as a later attempt. */
  readonly again: number
  /** Flow runs that were held. */
  readonly pauses: number
  /** Task runs that waited for a slot. */
  readonly slotWaits: number
}

async function once(core: Library, seed: number): Promise<World> {
  const world = new World(core, planCluster(seed))
  await world.live()
  await checkWorld(world)
  await world.close()
  return world
}

/** Lets the cluster of a seed live, and checks it. @param twice - Whether to do it twice: that must give the same log. */
export async function simulate(core: Library, seed: number, twice = false): Promise<Lived> {
  const world = await once(core, seed)
  const log = world.log.join('\n')
  if (twice && world.violations.length === 0) {
    const second = await once(core, seed)
    const other = second.log.join('\n')
    if (other !== log) world.violated('one seed, one log', firstDifference(log, other))
  }
  const { violations, crashes, bodies, committed } = world
  const takeovers = committed.filter(({ entry }) => entry.kind === 'claimed' && entry.epoch > 2).length
  const again = bodies.filter(({ attempt }) => attempt > 1).length
  const moves = committed.flatMap(({ entry }) => (entry.kind === 'transition' ? [entry] : []))
  const pauses = moves.filter(({ to, message }) => to === 'Paused' && message === 'paused').length
  const slotWaits = moves.filter(({ to }) => to === 'AwaitingConcurrencySlot').length
  return { violations, log, crashes, takeovers, bodies: bodies.length, again, pauses, slotWaits }
}

function firstDifference(one: string, other: string): string {
  const others = other.split('\n')
  const lines = one.split('\n')
  const index = lines.findIndex((line, place) => line !== others[place])
  return `line ${index}: ${lines[index] ?? 'nothing'}\nthe second time: ${others[index] ?? 'nothing'}`
}
