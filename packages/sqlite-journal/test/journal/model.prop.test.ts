import { memoryJournal, type Append, type Journal } from '@troupe/core'
import { sqliteJournal, type SqliteJournal } from '@troupe/sqlite-journal'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { claimed, folder, moved, note, plain, root, type Entry } from '../support.ts'

const runs = ['a', 'b', 'c', 'd']

type Step =
  | { readonly kind: 'appends'; readonly appends: readonly Draft[] }
  | { readonly kind: 'delete'; readonly run: string }
  | { readonly kind: 'read'; readonly run: string; readonly from: number; readonly limit: number }
  | { readonly kind: 'reopen' }

/** An append whose place is made from where the run is. */
interface Draft {
  readonly run: string
  /** How far from where it is. */
  readonly off: number
  readonly epoch: number
  readonly words: readonly string[]
  readonly state: 'Running' | 'Completed' | 'Failed' | undefined
  /** Repeats the newest append of this run instead. */
  readonly repeat: boolean
}

const draft: fc.Arbitrary<Draft> = fc.record({
  run: fc.constantFrom(...runs),
  off: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.constantFrom(-2, -1, 1)),
  epoch: fc.oneof({ weight: 8, arbitrary: fc.constant(1) }, fc.constantFrom(2, 3)),
  words: fc.array(fc.oneof(fc.string({ maxLength: 12 }), fc.string({ minLength: 90, maxLength: 300 })), {
    minLength: 1,
    maxLength: 4,
  }),
  state: fc.constantFrom(undefined, undefined, 'Running', 'Completed', 'Failed'),
  repeat: fc.nat(9).map((n) => n === 0),
})

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('appends'),
      appends: fc.array(draft, { minLength: 1, maxLength: 12 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete'), run: fc.constantFrom(...runs) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('read'),
      run: fc.constantFrom(...runs),
      from: fc.integer({ min: 1, max: 20 }),
      limit: fc.integer({ min: 0, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen') }) },
)

/** Appends that follow one another in one journal, made with what that journal answered. */
class Writer {
  readonly #newest = new Map<string, Append>()
  readonly #positions = new Map<string, number>()
  readonly #ended = new Set<string>()

  /** All at once, as several runs of an engine append. One run appends once. */
  appendsOf(drafts: readonly Draft[]): Append[] {
    const taken = new Set<string>()
    return drafts.flatMap((one) => {
      if (taken.has(one.run)) return []
      taken.add(one.run)
      const newest = this.#newest.get(one.run)
      if (one.repeat && newest !== undefined) return [newest]
      const position = this.#positions.get(one.run) ?? 0
      const entries: Entry[] =
        position === 0
          ? [
              claimed(one.epoch),
              root(one.run, { tags: ['x'], ...(one.run === 'd' ? { parentRunId: 'a.part' } : undefined) }),
            ]
          : []
      for (const word of one.words) entries.push(note(word))
      // A root that has ended moves no more.
      if (one.state !== undefined && !this.#ended.has(one.run)) {
        const outcome = one.state === 'Completed' ? { value: Buffer.from(one.words.join()) } : {}
        entries.push(moved(one.state, outcome))
      }
      return [{ flowRunId: one.run, expected: Math.max(0, position + one.off), epoch: one.epoch, entries }]
    })
  }

  answered(append: Append, refused: boolean): void {
    if (refused) return
    if (append.entries.some((entry) => entry.kind === 'transition' && entry.to !== 'Running'))
      this.#ended.add(append.flowRunId)
    this.#newest.set(append.flowRunId, append)
    this.#positions.set(append.flowRunId, append.expected + append.entries.length)
  }

  has(run: string): boolean {
    return this.#positions.has(run)
  }

  openedAnew(): void {
    this.#newest.clear()
  }

  deleted(run: string): void {
    for (const one of run === 'a' ? ['a', 'd'] : [run]) {
      this.#newest.delete(one)
      this.#positions.delete(one)
      this.#ended.delete(one)
    }
  }
}

async function expectSame(model: Journal, journal: Journal): Promise<void> {
  for (const run of runs) {
    expect(plain(await journal.read(run, 1, 1_000))).toEqual(plain(await model.read(run, 1, 1_000)))
    const [mine, its] = [await journal.summary(run), await model.summary(run)]
    expect(plain({ ...mine, order: 0 })).toEqual(plain({ ...its, order: 0 }))
  }
  for (const query of [
    {},
    { ended: true },
    { ended: false },
    { newestFirst: true },
    { parent: null },
    { states: ['Failed' as const] },
    { tag: 'x' },
  ]) {
    const names = async (one: Journal): Promise<string[]> =>
      (await one.list({ limit: 3, ...query })).map(({ flowRunId }) => flowRunId)
    expect(await names(journal)).toEqual(await names(model))
  }
}

it('does what the memory journal does, whatever is appended, repeated, refused, deleted and read, also when it is opened anew', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), fc.boolean(), async (steps, thread) => {
      const { path, remove } = folder()
      const model = memoryJournal()
      const options = { durability: 'process', largeValue: 64, thread } as const
      let journal: SqliteJournal = sqliteJournal(path, options)
      const told: { model: unknown[]; journal: unknown[] } = { model: [], journal: [] }
      model.subscribe((run, first, entries) => told.model.push([run, first, plain(entries)]))
      const listen = (): void =>
        void journal.subscribe((run, first, entries) => told.journal.push([run, first, plain(entries)]))
      listen()
      const writer = new Writer()
      const compared: (readonly [unknown, unknown])[] = []
      try {
        for (const one of steps) {
          if (one.kind === 'appends') {
            const appends = writer.appendsOf(one.appends)
            const expected = appends.map(async (append) => model.append(append))
            const answers = await Promise.all(appends.map(async (append) => journal.append(append)))
            compared.push([answers, await Promise.all(expected)])
            for (const [index, append] of appends.entries())
              writer.answered(append, answers[index] !== undefined)
          } else if (one.kind === 'delete') {
            // What is below a run that is not there, the memory journal forgets all the same.
            if (!writer.has(one.run)) continue
            await Promise.all([model.delete(one.run), journal.delete(one.run)])
            writer.deleted(one.run)
          } else if (one.kind === 'read') {
            const { run, from, limit } = one
            const read = async (journal: Journal): Promise<unknown> =>
              plain(await journal.read(run, from, limit))
            compared.push([await read(journal), await read(model)])
          } else {
            // What was appended before can't be repeated by the journal that is opened anew: it has other arrays.
            writer.openedAnew()
            await journal.close()
            journal = sqliteJournal(path, options)
            listen()
          }
        }
        for (const [its, expected] of compared) expect(its).toEqual(expected)
        await expectSame(model, journal)
        expect(told.journal).toEqual(told.model)
      } finally {
        await journal.close()
        remove()
      }
    }),
    { numRuns: 40, endOnFailure: true },
  )
})
