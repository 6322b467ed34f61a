/** The flows that processes are killed in: 200 tasks each, with an effect outside each. */
import { currentTaskRun, flow, task } from '@troupe/core'

/** Told by the bodies what they are about to do; set by the process that runs them. */
export interface Witness {
  /** A task is called, its body begins, its body ends. */
  mark(what: 'called' | 'begins' | 'ends', key: string): void
  /** Something is done that another process can see. */
  effect(runId: string, key: string): void
}

export const witness: Witness = { mark: () => undefined, effect: () => undefined }

/** A run is lost as often as its process is killed, and never given up. */
const options = { maxRecoveries: 1_000_000 }

/** What a body does between its beginning and its end: nothing, a turn of the event loop, or some time. */
async function takeTime(key: string): Promise<void> {
  const kind = key.charCodeAt(key.length - 1) % 4
  if (kind === 1) await new Promise((resolve) => setImmediate(resolve))
  if (kind === 2) await new Promise((resolve) => setTimeout(resolve, 1))
}

function done(key: string): string {
  witness.effect(currentTaskRun().id, key)
  witness.mark('ends', key)
  return key
}

const work = task({ name: 'work', ...options }, async (key: string) => {
  witness.mark('begins', key)
  await takeTime(key)
  return done(key)
})

const flaky = task({ name: 'flaky', retries: 1, ...options }, async (key: string) => {
  witness.mark('begins', key)
  await takeTime(key)
  if (currentTaskRun().attempt === 1) throw new RangeError('the first attempt fails')
  return done(key)
})

const family = task({ name: 'family', ...options }, async (key: string) => {
  witness.mark('begins', key)
  await Promise.all(children(key).map((child) => called(work, child)))
  return done(key)
})

const below = flow({ name: 'below', ...options }, async (key: string) => {
  const parts: string[] = []
  for (const part of names(`${key}.s`, 10)) parts.push(await called(work, part))
  parts.push(...(await Promise.all(names(`${key}.p`, 10).map((part) => called(work, part)))))
  return parts.length
})

/** 200 tasks: one after another, side by side, in tasks, in subflows, and tried again. */
export const mixed = flow({ name: 'mixed', ...options }, async (name: string) => {
  let count = 0
  for (const key of names(`${name}.seq`, 40)) count += (await called(work, key)).length > 0 ? 1 : 0
  for (const batch of names(`${name}.par`, 6)) {
    count += (await Promise.all(names(batch, 10).map((key) => called(work, key)))).length
  }
  const subs = names(`${name}.sub`, 2).map((key) => below(key))
  for (const key of names(`${name}.nest`, 10)) {
    await called(family, key)
    count += 4
  }
  for (const sub of subs) count += await sub
  count += (await Promise.all(names(`${name}.flaky`, 20).map((key) => called(flaky, key)))).length
  return count
})

/** The keys of all effects of a flow run. */
export function keysOf(name: string): string[] {
  const nested = names(`${name}.nest`, 10)
  return [
    ...names(`${name}.seq`, 40),
    ...names(`${name}.par`, 6).flatMap((batch) => names(batch, 10)),
    ...nested.flatMap((key) => [key, ...children(key)]),
    ...names(`${name}.sub`, 2).flatMap((key) => [...names(`${key}.s`, 10), ...names(`${key}.p`, 10)]),
    ...names(`${name}.flaky`, 20),
  ]
}

const names = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${name}.${n}`)
const children = (key: string): string[] => names(`${key}.c`, 3)

function called(callee: (key: string) => PromiseLike<string>, key: string): PromiseLike<string> {
  const future = callee(key)
  witness.mark('called', key)
  return future
}
