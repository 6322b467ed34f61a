import type { ConsumerInfo } from '@nats-io/jetstream'
import type { Connected } from '../connection/connected.ts'
import { codeOf, codes } from '../connection/errors.ts'
import { laneOf, priorities, type QueueNames } from './names.ts'
import { subjectsOf, type SubjectsPage } from './subjects.ts'

/** What is looked at. */
interface Look {
  /** Lanes that were asked and have been silent for long. */
  readonly silent: readonly boolean[]
  readonly now: number
  readonly everyMs: number
}

/**
 * Servers have bugs by which a consumer stops delivering, or has forgotten messages that its stream still has, as 2.9 does when it
 * was killed. Where a lane is silent twice in a row though messages are there, its consumer is made anew: everything that is in the
 * queue is delivered again.
 */
export class Watchdog {
  readonly #names: QueueNames
  #lookedAt: number
  /** Deliveries of each suspected consumer. */
  #suspected = new Map<string, number>()
  #isLooking = false

  constructor(names: QueueNames, now: number) {
    this.#names = names
    this.#lookedAt = now
  }

  /** @returns Whether a consumer was deleted; undefined where it was not looked. */
  look(connected: Connected, look: Look): Promise<boolean> | undefined {
    if (this.#isLooking || look.now - this.#lookedAt < look.everyMs || !look.silent.includes(true))
      return undefined
    this.#isLooking = true
    this.#lookedAt = look.now
    return this.#look(connected, look.silent).finally(() => (this.#isLooking = false))
  }

  async #look(connected: Connected, silent: readonly boolean[]): Promise<boolean> {
    const { stream, prefix, consumer } = this.#names
    const suspected = new Map<string, number>()
    let isMadeAnew = false
    const page = await subjectsOf(connected, stream, `${prefix}>`)
    for (const [lane, priority] of priorities.entries()) {
      if (silent[lane] !== true || this.#countOf(page, lane) === 0) continue
      const name = consumer[priority]
      const info = await infoOf(connected, stream, name)
      // One that is gone is noticed by its pulls.
      if (info === undefined || !this.#isStuck(info, page, lane)) continue
      const deliveries = info.delivered.consumer_seq
      if (this.#suspected.get(name) !== deliveries) {
        suspected.set(name, deliveries)
        continue
      }
      await connected.jsm.consumers.delete(stream, name)
      isMadeAnew = true
    }
    this.#suspected = suspected
    return isMadeAnew
  }

  #isStuck(info: ConsumerInfo, page: SubjectsPage, lane: number): boolean {
    if (info.num_pending > 0 || info.delivered.stream_seq > page.lastSeq) return true
    return this.#countOf(page, lane) > info.num_pending + info.num_ack_pending
  }

  #countOf({ subjects }: SubjectsPage, lane: number): number {
    return Object.keys(subjects).filter((subject) => laneOf(this.#names, subject).lane === lane).length
  }
}

async function infoOf(connected: Connected, stream: string, name: string): Promise<ConsumerInfo | undefined> {
  try {
    return await connected.jsm.consumers.info(stream, name)
  } catch (error) {
    if (codeOf(error) === codes.consumerNotFound) return undefined
    throw error
  }
}
