import type { StandardSchemaV1 } from '@standard-schema/spec'
import {
  flow,
  memoryJournal,
  sleep,
  type Clock,
  type Engine,
  type EngineError,
  type Flow,
  type Journal,
  type JournalSummary,
} from '@troupe/core'

/** All journals of a journal. */
export async function runsOf(journal: Journal): Promise<readonly JournalSummary[]> {
  return journal.list({ limit: 10_000 })
}

/** Errors that nobody else hears of, as they come. */
export function errorsOf(engine: Engine): EngineError[] {
  const errors: EngineError[] = []
  engine.errors.subscribe((error) => errors.push(error))
  return errors
}

/** A journal in memory that encodes, as those on disks do, and outlives engines. */
export function keptJournal(): Journal {
  const journal = memoryJournal({ keep: 100_000 })
  return { ...bound(journal), encodes: true }
}

function bound(journal: Journal): Journal {
  return {
    encodes: journal.encodes,
    append: (append) => journal.append(append),
    read: (flowRunId, from, limit) => journal.read(flowRunId, from, limit),
    summary: (flowRunId) => journal.summary(flowRunId),
    list: (query) => journal.list(query),
    delete: (flowRunId) => journal.delete(flowRunId),
    subscribe: (listener, flowRunId) => journal.subscribe(listener, flowRunId),
    close: () => journal.close(),
  }
}

/** A journal that does what another one does, unless a method is replaced. */
export function journalWith(journal: Journal, changes: Partial<Journal>): Journal {
  return { ...bound(journal), ...changes }
}

/** A schema of arguments that are all numbers. */
export const numbers: StandardSchemaV1<number[], number[]> = {
  '~standard': {
    version: 1,
    vendor: 'by hand',
    validate: (value) =>
      (value as unknown[]).every((one) => typeof one === 'number')
        ? { value: value as number[] }
        : { issues: [{ message: 'not all are numbers' }] },
  },
}

/** Resolves when so much time has passed on a clock. */
export function waitOn(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.at(clock.now() + ms, resolve))
}

/** A flow that takes an event, and so long. */
export function takes<E>(ms = 0, name = 'accept'): Flow<[event: E], unknown> {
  return flow(name, async (event: E): Promise<unknown> => {
    if (ms > 0) await sleep(ms)
    return event
  }) as Flow<[event: E], unknown>
}
