import { randomUUID } from 'node:crypto'
import type { Append, AppendRefused, Clock, Journal, TransportHost } from '@troupe/core'
import { seededRandom } from '@troupe/core/testing'
import { Shared } from '../src/shared.ts'
import { settingsOf, type NatsTransportOptions } from '../src/options.ts'

export type Entry = Append['entries'][number]

/** A namespace that no other test has. */
export function freshNamespace(): string {
  return `t${randomUUID().replaceAll('-', '').slice(0, 12)}`
}

export const machineClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  at(deadline, fn) {
    const timer = setTimeout(fn, Math.max(0, deadline - Date.now()))
    return () => clearTimeout(timer)
  },
  turn: (fn) => void setImmediate(fn),
}

/** A clock that can be put forward; what waits, waits by the machine's. */
export class Shifted implements Clock {
  #by = 0
  forward(ms: number): void {
    this.#by += ms
  }
  now(): number {
    return Date.now() + this.#by
  }
  monotonic(): number {
    return performance.now() + this.#by
  }
  at(deadline: number, fn: () => void): () => void {
    return machineClock.at(deadline - this.#by, fn)
  }
  turn(fn: () => void): void {
    machineClock.turn(fn)
  }
}

/** What a node of a test has: the ports, without an engine. */
export interface TestNode extends Omit<Shared, 'close'> {
  readonly namespace: string
  /** What was reported, newest last. */
  readonly reports: unknown[]
  close(): Promise<void>
}

let hosts = 0

export function hostOf(reports: unknown[] = [], clock: Clock = machineClock): TransportHost {
  return {
    node: `node-${++hosts}`,
    clock,
    random: seededRandom(hosts * 7919 + process.pid),
    report: (error) => void reports.push(error),
    cutOff: (error) => void reports.push(error),
  }
}

/** A node, in a namespace of its own unless one is given. */
export function nodeAt(
  options: NatsTransportOptions,
  { clock = machineClock }: { clock?: Clock } = {},
): TestNode {
  const namespace = options.namespace ?? freshNamespace()
  const reports: unknown[] = []
  const shared = new Shared(settingsOf({ ...options, namespace }), hostOf(reports, clock))
  return Object.assign(shared, { namespace, reports })
}

const at = Date.UTC(2001, 0, 1)

export function claimed(epoch = 1, node = 'node-a'): Entry {
  return { kind: 'claimed', at, epoch, node }
}

export function note(message: string): Entry {
  return { kind: 'note', at, run: 0, note: 'leftover', message }
}

export interface Root {
  readonly name?: string
  readonly parentRunId?: string
  readonly tags?: readonly string[]
  readonly at?: number
  readonly inputs?: Uint8Array
}

export function root(
  flowRunId: string,
  { name = 'delays', parentRunId, tags, ...options }: Root = {},
): Entry {
  return {
    kind: 'submitted',
    at: options.at ?? at,
    runKind: 'flow',
    runId: flowRunId,
    parent: -1,
    parentAttempt: 0,
    name,
    version: '1',
    runName: undefined,
    identity: undefined,
    inputs: options.inputs ?? Uint8Array.of(1, 2, 3),
    to: 'Pending',
    tags,
    ...(parentRunId === undefined ? undefined : { parentRunId }),
  }
}

export function moved(
  to: Extract<Entry, { kind: 'transition' }>['to'],
  { at: when = at, value }: { at?: number; value?: Uint8Array } = {},
): Entry {
  const outcome = value === undefined ? undefined : { value }
  return { kind: 'transition', at: when, run: 0, to, seq: 2, attempt: 1, message: undefined, outcome }
}

/** A journal with its root. */
export async function create(journal: Journal, flowRunId: string, options?: Root): Promise<void> {
  const answer = await append(journal, flowRunId, 0, [claimed(), root(flowRunId, options)])
  if (answer !== undefined) throw new TypeError(`${flowRunId} exists`)
}

/** Appends as the owner of epoch 1. */
export async function append(
  journal: Journal,
  flowRunId: string,
  expected: number,
  entries: readonly Entry[],
): Promise<AppendRefused | undefined> {
  return journal.append({ flowRunId, expected, epoch: 1, entries })
}

/** All entries of a run, read in pages. */
export async function all(journal: Journal, flowRunId: string, page = 5_000): Promise<Entry[]> {
  const entries: Entry[] = []
  for (;;) {
    const read = await journal.read(flowRunId, entries.length + 1, page)
    entries.push(...read)
    if (read.length < page) return entries
  }
}

/** What notes say. */
export function wordsOf(entries: readonly Entry[]): string[] {
  return entries.flatMap((entry) => (entry.kind === 'note' ? [entry.message] : []))
}
