import type { ClusterNodes, Random } from '@troupe/core'
import { virtualClock, type VirtualClock } from '@troupe/core/testing'
import { mortalClock, type MortalClock } from '../../src/testing/mortal-clock.ts'

/** After how long it is seen that a node has died. */
const noticedMs = 1_500

/** A node that lives, has died, or is known to be gone. */
export interface LivingNode {
  readonly name: string
  readonly clock: MortalClock
  readonly nodes: Pick<ClusterNodes, 'gone' | 'lost'>
  readonly heard: Set<(node: string) => void>
  isDead: boolean
  isGone: boolean
}

/** Nodes on one virtual time, and what they know of each other. */
export class LivingNodes {
  readonly clock: VirtualClock = virtualClock()
  readonly all: LivingNode[] = []
  readonly #random: Random
  crashes = 0

  constructor(random: Random) {
    this.#random = random
  }

  add(name: string): LivingNode {
    const clock = mortalClock(this.clock)
    const heard = new Set<(node: string) => void>()
    const nodes = {
      gone: async (names: readonly string[]) => {
        await new Promise<void>((resolve) => {
          clock.at(clock.now() + this.#random.number() * 3, resolve)
        })
        return names.filter((each) => !this.all.some(({ name: own, isGone }) => own === each && !isGone))
      },
      lost: (listener: (node: string) => void) => {
        heard.add(listener)
        return () => void heard.delete(listener)
      },
    }
    const node = { name, clock, nodes, heard, isDead: false, isGone: false }
    this.all.push(node)
    return node
  }

  get living(): readonly LivingNode[] {
    return this.all.filter(({ isDead }) => !isDead)
  }

  /** @param noticed - Called when the others know. */
  kill(node: LivingNode, noticed: () => void = () => undefined): void {
    node.isDead = true
    node.clock.die()
    this.crashes++
    this.clock.at(this.clock.now() + noticedMs, () => {
      node.isGone = true
      for (const { clock, heard } of this.living)
        clock.at(clock.now() + this.#random.number() * 5, () => {
          for (const listener of heard) listener(node.name)
        })
      noticed()
    })
  }

  /** On one node, after so many milliseconds, if it lives. */
  after({ clock }: LivingNode, ms: number, fn: () => void): void {
    clock.at(clock.now() + ms, fn)
  }

  /** All that follows at once comes to rest, and time moves on. @returns False where nothing waits for it */
  async step(): Promise<boolean> {
    await new Promise<void>((resolve) => setImmediate(resolve))
    return this.clock.advanceToNext()
  }

  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms
    this.clock.at(until, () => undefined)
    while (this.clock.now() < until) if (!(await this.step())) break
  }

  async until(isDone: () => boolean, ms: number): Promise<void> {
    const until = this.clock.now() + ms
    while (!isDone() && this.clock.now() < until) if (!(await this.step())) break
  }
}
