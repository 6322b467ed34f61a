import { createActor, setup } from 'xstate'
import type { Actor } from 'xstate'

interface RunEvent {
  readonly type: 'start' | 'complete'
}

const runMachine = setup({ types: { events: {} as RunEvent } }).createMachine({
  id: 'run',
  initial: 'Pending',
  states: {
    Pending: { on: { start: 'Running' } },
    Running: { on: { complete: 'Completed' } },
    Completed: { type: 'final' },
  },
})

type RunActor = Actor<typeof runMachine>

/** How many actors `fanOutCapped` keeps alive at once. */
export const capacity = 10_000

const START = { type: 'start' } as const
const COMPLETE = { type: 'complete' } as const

/** States seen by observers; read by the caller to prove that the observers were called. */
export let delivered = 0

const observe = (): void => {
  delivered += 1
}

const create = (subscribed: boolean): RunActor => {
  const actor = createActor(runMachine)
  if (subscribed) actor.subscribe(observe)
  return actor.start()
}

/** Runs `n` actors one after the other. */
export function chain(n: number, subscribed = false): void {
  for (let i = 0; i < n; i++) {
    const actor = create(subscribed)
    actor.send(START)
    actor.send(COMPLETE)
  }
}

/** Runs `n` actors together: all are alive before the first gets an event. */
export function fanOut(n: number, subscribed = false): void {
  const actors: RunActor[] = []
  for (let i = 0; i < n; i++) actors.push(create(subscribed))
  for (const actor of actors) actor.send(START)
  for (const actor of actors) actor.send(COMPLETE)
}

/** Runs `n` actors in waves of at most `capacity`. */
export function fanOutCapped(n: number, subscribed = false): void {
  for (let left = n; left > 0; left -= capacity) fanOut(Math.min(left, capacity), subscribed)
}

/** Gives `n` started actors in Pending. */
export function pending(n: number): readonly object[] {
  return Array.from({ length: n }, () => create(false))
}

/** Hands the time from each `send` to its delivery to `record`, in milliseconds. */
export function delivery(n: number, record: (ms: number) => void): void {
  let sentAt = 0
  for (let i = 0; i < n; i++) {
    const actor = create(false)
    actor.subscribe(() => record(performance.now() - sentAt))
    sentAt = performance.now()
    actor.send(START)
    sentAt = performance.now()
    actor.send(COMPLETE)
  }
}
