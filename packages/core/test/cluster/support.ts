import { type Clock, type MemoryTransport, type Station, type TransportHost } from '@troupe/core'
import { seededRandom, virtualClock } from '@troupe/core/testing'

/** What a transport tells an engine. */
export interface HostNotes {
  readonly reports: unknown[]
  readonly cuts: unknown[]
}

/** An engine, as far as a transport knows. */
export function hostOf(
  node: string,
  clock: Clock,
  notes: HostNotes = { reports: [], cuts: [] },
): TransportHost {
  return {
    node,
    clock,
    random: seededRandom(1),
    report: (error) => notes.reports.push(error),
    cutOff: (error) => notes.cuts.push(error),
  }
}

/** Two nodes of a transport on virtual time. */
export function twoNodes(transport: MemoryTransport) {
  const clock = virtualClock()
  const notes: HostNotes = { reports: [], cuts: [] }
  let end = (): void => undefined
  const over = new Promise<void>((resolve) => (end = resolve))
  const [a, b] = [transport.open(hostOf('a', clock, notes)), transport.open(hostOf('b', clock))]
  return {
    a,
    b,
    clock,
    notes,
    settle: async <T>(promise: Promise<T>): Promise<T> => {
      await clock.run(Promise.race([promise, over]))
      return promise
    },
    /** Lets no time pass any more for what will never come. */
    close: async (): Promise<void> => end(),
    crash: async (): Promise<void> => transport.crash('a'),
    leave: (): Promise<void> => a.close(),
  } satisfies { readonly a: Station; readonly b: Station } & Record<string, unknown>
}
