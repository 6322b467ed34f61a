import type { TestEngine } from '@troupe/core/testing'
import { currentTaskRun, sleep, type Duration, type Engine } from '@troupe/core'

/** `held/waiting` of each limit, in the order in which they were set. */
export function counts(engine: Engine): string {
  return engine.limits
    .list()
    .map(({ held, waiting }) => `${held}/${waiting}`)
    .join(' ')
}

/** Calls a task, or a flow, so many times. */
export function times<T>(count: number, call: () => T): T[] {
  return Array.from({ length: count }, () => call())
}

/** Counts how many bodies of a kind are at work at once, and remembers in which order they began. */
export class Gauge {
  now = 0
  most = 0
  readonly begun: string[] = []

  /** A body that takes `duration`. */
  readonly body = async (name = '', duration: Duration = 10): Promise<string> => {
    this.begun.push(name)
    this.most = Math.max(this.most, ++this.now)
    try {
      await sleep(duration)
    } finally {
      this.now--
    }
    return name
  }
}

/** A body that remembers when it began, in milliseconds since the engine was made. */
export function stamps(engine: TestEngine): { readonly at: number[]; readonly stamp: () => void } {
  const start = engine.clock.now()
  const at: number[] = []
  return { at, stamp: () => void at.push(engine.clock.now() - start) }
}

/** Does `first` in the first attempt of a task run, and `then` in all others. */
export function atFirst<T>(first: () => T | Promise<T>, then: () => T | Promise<T>): () => T | Promise<T> {
  return () => (currentTaskRun().attempt === 1 ? first() : then())
}

export const fails = (): never => {
  throw new Error('on purpose')
}
