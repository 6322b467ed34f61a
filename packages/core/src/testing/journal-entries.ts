import type { Entry } from '../journal/entries.ts'
import { stateNames, stateTypes, type StateName } from '../machines/states.ts'

/** Wall time of the entries of the suites: 2001-01-01. */
export const entryTime = Date.UTC(2001, 0, 1)
const at = entryTime

/** What an encoded value looks like; no adapter reads it. */
const bytes = Uint8Array.of(0, 1, 127, 128, 255)

export function claimed(epoch = 1, node = 'node-a'): Entry {
  return { kind: 'claimed', at, epoch, node }
}

interface RootOptions {
  readonly runKind?: 'flow' | 'task'
  readonly name?: string
  readonly parentRunId?: string
  readonly tags?: readonly string[]
  readonly at?: number
}

/** The root of a journal. */
export function rootSubmitted(flowRunId: string, options: RootOptions = {}): Entry {
  const { runKind = 'flow', name = 'delays', parentRunId, tags } = options
  return {
    kind: 'submitted',
    at: options.at ?? at,
    runKind,
    runId: flowRunId,
    parent: -1,
    parentAttempt: 0,
    name,
    version: '1',
    runName: undefined,
    identity: undefined,
    inputs: bytes,
    to: 'Pending',
    tags,
    ...(parentRunId === undefined ? undefined : { parentRunId }),
  }
}

export function transition(run: number, to: StateName, seq = 2): Entry {
  return { kind: 'transition', at, run, to, seq, attempt: 1, message: undefined, outcome: undefined }
}

/** An entry that is told from others by its text. */
export function note(message: string): Entry {
  return { kind: 'note', at, run: 0, note: 'leftover', message }
}

/** Every kind of entry, with every field in every shape that it may have; typed so that no kind can be forgotten. */
export function everyEntry(flowRunId: string): readonly Entry[] {
  const kinds: { readonly [K in Entry['kind']]: readonly Extract<Entry, { kind: K }>[] } = {
    claimed: [{ kind: 'claimed', at, epoch: 1, node: 'node-ä' }],
    submitted: [
      {
        ...(rootSubmitted(flowRunId) as Extract<Entry, { kind: 'submitted' }>),
        parentRunId: 'a-parent.0123456789ab',
        parametersHash: 'f'.repeat(32),
        options: bytes,
      },
      {
        ...(rootSubmitted(flowRunId) as Extract<Entry, { kind: 'submitted' }>),
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        tracestate: 'a=1,b=2',
      },
      {
        kind: 'submitted',
        at: at + 1,
        runKind: 'task',
        runId: `${flowRunId}.0123456789ab`,
        parent: 0,
        parentAttempt: 2,
        name: 'read "group" ☃ 🎈',
        version: '2.0',
        runName: 'group-3',
        identity: '0'.repeat(32),
        inputs: new Uint8Array(70_000).fill(7),
        to: 'Scheduled',
        tags: ['nightly', ''],
      },
    ],
    transition: [
      ...stateNames
        .filter((name) => stateTypes[name] !== 'COMPLETED' && stateTypes[name] !== 'FAILED')
        .map((to, index) => ({
          kind: 'transition' as const,
          at: at + index,
          run: 1,
          to,
          seq: 2 + index,
          attempt: 1 + index,
          message: index % 2 === 0 ? undefined : `because of ${to}`,
          outcome: undefined,
        })),
      {
        kind: 'transition',
        at,
        run: 0,
        to: 'Paused',
        seq: 3,
        attempt: 1,
        message: '',
        outcome: undefined,
        pausedFor: 'wait',
      },
      {
        kind: 'transition',
        at,
        run: 1,
        to: 'AwaitingRetry',
        seq: 3,
        attempt: 1,
        message: '',
        outcome: undefined,
        until: at + 0.5,
        runName: 'a name',
        host: 'thread-1',
        pausedFor: 'input',
      },
      ...stateNames
        .filter((name) => stateTypes[name] === 'COMPLETED' || stateTypes[name] === 'FAILED')
        .map((to) => ({
          kind: 'transition' as const,
          at,
          run: 1,
          to,
          seq: 100_000,
          attempt: 70_000,
          message: '',
          outcome:
            stateTypes[to] === 'COMPLETED'
              ? { value: bytes }
              : {
                  failure: { name: 'TypeError', message: 'no', code: 'E_NO', stack: 'at …', encoded: bytes },
                },
        })),
    ],
    adopted: [{ kind: 'adopted', at, run: 1, attempt: 2 }],
    child: (['started', 'ended', 'adopted'] as const).map((event, index) => ({
      kind: 'child' as const,
      at,
      flowRunId: 'a-child',
      parent: 0,
      parentAttempt: 1,
      name: 'a child',
      version: '1',
      identity: index === 0 ? 'e'.repeat(32) : undefined,
      event,
    })),
    draw: [
      { kind: 'draw', at, run: 0, attempt: 1, draw: 'now', value: at + 0.25 },
      { kind: 'draw', at, run: 0, attempt: 1, draw: 'random', value: 1 / 3 },
      { kind: 'draw', at, run: 0, attempt: 1, draw: 'random', value: 0 },
      { kind: 'draw', at, run: 0, attempt: 1, draw: 'uuid', value: '00000000-0000-4000-8000-000000000000' },
    ],
    wait: [
      {
        kind: 'wait',
        at,
        run: 0,
        attempt: 1,
        wait: 1,
        for: undefined,
        name: undefined,
        deadline: at + 86_400_000.5,
      },
      {
        kind: 'wait',
        at,
        run: 0,
        attempt: 70_000,
        wait: 2,
        for: 'signal',
        name: 'paid',
        deadline: undefined,
      },
      { kind: 'wait', at, run: 0, attempt: 1, wait: 3, for: 'input', name: undefined, deadline: at },
    ],
    woken: [
      { kind: 'woken', at, wait: 1, message: undefined },
      { kind: 'woken', at, wait: 2, message: 1 },
    ],
    message: [
      { kind: 'message', at, id: 'a message', for: 'signal', name: 'paid', payload: bytes },
      { kind: 'message', at, id: '2', for: 'input', name: undefined, payload: bytes },
    ],
    offered: [{ kind: 'offered', at, offer: 3, runs: [1, 2, 70_000] }],
    note: (['diverged', 'not called again', 'leftover', 'forked', 'imported'] as const).map((kind) => ({
      kind: 'note' as const,
      at,
      run: 1,
      note: kind,
      message: `a note: ${kind}`,
    })),
  }
  return Object.values(kinds).flat()
}

/**
 * Entries as they are compared: a field that is undefined may be missing, and bytes may come back in a subclass of
 * `Uint8Array`, for no reader can tell.
 */
export function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return Object.fromEntries(fields.map(([name, field]) => [name, comparable(field)]))
}
