import { flow, memoryJournal, receive, task, type Journal, type Transition } from '@troupe/core'
import { createTestEngine, type TestEngine } from '@troupe/core/testing'

const step = task('step', (n: number) => n)

/** Does a step for each signal `go`; ends after `n`. */
export const steps = flow('steps', async (n: number) => {
  for (let i = 1; i <= n; i++) {
    await step(i)
    await receive('go')
  }
  return n
})

export const quick = flow('quick', (n: number) => step(n))

/** One event of a stream. */
export interface ServerEvent {
  readonly id?: string
  readonly event?: string
  readonly data?: string
  readonly retry?: string
}

/** The events of a text, as the specification reads them; comments are left out. */
export function eventsOf(text: string): ServerEvent[] {
  const blocks = text.split('\n\n')
  const open = blocks.pop()
  if (open !== '') throw new TypeError(`an event without its end: ${open}`)
  return blocks.flatMap((block) => {
    const fields = block.split('\n').flatMap((line) => {
      if (line.startsWith(':')) return []
      const at = line.indexOf(':')
      if (at === -1) throw new TypeError(`no field: ${line}`)
      return [[line.slice(0, at), line.slice(at + 1).replace(/^ /, '')]]
    })
    return fields.length === 0 ? [] : [Object.fromEntries(fields) as ServerEvent]
  })
}

export function transitionsOf(events: readonly ServerEvent[]): Transition[] {
  return events.flatMap(({ event, data = '' }) =>
    event === 'transition' ? [JSON.parse(data) as Transition] : [],
  )
}

export const shown = (transitions: readonly Transition[]): string[] =>
  transitions.map(({ runName, to }) => `${runName} ${to.name}`)

/** A journal that counts who listens to it. */
export function listening(keep = 1_000): { journal: Journal; count: () => number } {
  const journal = memoryJournal({ keep })
  const subscribe = journal.subscribe.bind(journal)
  let count = 0
  journal.subscribe = (listener, flowRunId) => {
    const stop = subscribe(listener, flowRunId)
    let isOpen = true
    count++
    return () => {
      stop()
      if (isOpen) count--
      isOpen = false
    }
  }
  return { journal, count: () => count }
}

/** An engine on virtual time; what it logs is kept quiet. */
export function testEngine(options: Parameters<typeof createTestEngine>[0] = {}): TestEngine {
  const quiet = (): void => undefined
  return createTestEngine({ logger: { debug: quiet, info: quiet, warn: quiet, error: quiet }, ...options })
}

/** Lets the event loop come to rest. */
export async function rest(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Asks until it holds. */
export async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 5))
}
