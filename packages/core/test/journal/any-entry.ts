/** Random entries of every kind, with values encoded as in journals that leave the process. */
import fc from 'fast-check'
import type { Entry, SubmittedEntry, TransitionEntry } from '../../src/journal/entries.ts'
import { stateNames } from '../../src/machines/states.ts'
import { anyText } from '../values/arbitraries.ts'

const some = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })
const time = fc.oneof(
  fc.integer({ min: 978_307_200_000, max: 978_307_300_000 }),
  fc.double({ min: 978_307_200_000, max: 978_307_300_000, noNaN: true }),
  fc.double({ min: 0.5, noNaN: true, noDefaultInfinity: true }),
  fc.maxSafeInteger().map((at) => at + 0),
)
const number = fc.nat({ max: 2 ** 40 })
const bytes = fc.uint8Array({ maxLength: 60 })
const id = fc.oneof(fc.constant('0123456789abcdefgh.0123456789ab'), anyText)
const of = <const T>(...words: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...words)

const outcome = fc.oneof(
  fc.record({ value: bytes }, { noNullPrototype: true }),
  fc
    .record(
      { name: anyText, message: anyText, code: anyText, stack: anyText, encoded: bytes },
      { requiredKeys: ['name', 'message'], noNullPrototype: true },
    )
    .map((failure) => ({ failure })),
)

const kinds: { readonly [K in Entry['kind']]: fc.Arbitrary<Extract<Entry, { kind: K }>> } = {
  claimed: fc.record({ kind: of('claimed'), at: time, epoch: number, node: anyText }),
  submitted: fc
    .tuple(
      fc.record({
        kind: of('submitted'),
        at: time,
        runKind: of('flow', 'task'),
        runId: id,
        parent: fc.integer({ min: -1 }),
        parentAttempt: number,
        name: anyText,
        version: anyText,
        runName: some(anyText),
        identity: some(id),
        inputs: bytes,
        to: of('Pending', 'Scheduled'),
        tags: some(fc.array(anyText, { maxLength: 5 })),
      }),
      fc.oneof(
        fc.record({ parentRunId: id, parametersHash: id, options: bytes }, { requiredKeys: [] }),
        fc.record(
          { parentRunId: id, traceparent: anyText, tracestate: anyText },
          { requiredKeys: ['traceparent'] },
        ),
      ),
    )
    .map(([entry, more]) => ({ ...entry, ...(more as Partial<SubmittedEntry>) })),
  transition: fc
    .tuple(
      fc.record({
        kind: of('transition'),
        at: time,
        run: number,
        to: of(...stateNames),
        seq: number,
        attempt: number,
        message: some(anyText),
        outcome: some(outcome),
      }),
      fc.record(
        { until: time, runName: anyText, host: anyText, pausedFor: of('input', 'wait') },
        { requiredKeys: [] },
      ),
    )
    .map(([entry, more]) => ({
      ...entry,
      ...(more as Partial<TransitionEntry>),
    })),
  adopted: fc.record({ kind: of('adopted'), at: time, run: number, attempt: number }),
  child: fc.record({
    kind: of('child'),
    at: time,
    flowRunId: id,
    parent: number,
    parentAttempt: number,
    name: anyText,
    version: anyText,
    identity: some(id),
    event: of('started', 'ended', 'adopted'),
  }),
  draw: fc.record({
    kind: of('draw'),
    at: time,
    run: number,
    attempt: number,
    draw: of('now', 'random', 'uuid'),
    value: fc.oneof(fc.double(), fc.integer(), anyText),
  }),
  wait: fc.record({
    kind: of('wait'),
    at: time,
    run: number,
    attempt: number,
    wait: number,
    for: some(of('signal', 'input')),
    name: some(anyText),
    deadline: some(time),
  }),
  woken: fc.record({ kind: of('woken'), at: time, wait: number, message: some(number) }),
  message: fc.record({
    kind: of('message'),
    at: time,
    id,
    for: of('signal', 'input'),
    name: some(anyText),
    payload: bytes,
  }),
  offered: fc.record({
    kind: of('offered'),
    at: time,
    offer: number,
    runs: fc.array(number, { maxLength: 5 }),
  }),
  note: fc.record({
    kind: of('note'),
    at: time,
    run: number,
    note: of('diverged', 'not called again', 'leftover', 'forked', 'imported'),
    message: anyText,
  }),
}

export const anyEntry: fc.Arbitrary<Entry> = fc.oneof(...Object.values(kinds)).map((entry) => ({ ...entry }))
