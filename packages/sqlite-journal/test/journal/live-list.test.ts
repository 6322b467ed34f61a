/** `engine.runs` over a folder that two engines share. */
import { asList, createEngine, flow, receive, type Engine, type RunsQuery } from '@troupe/core'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { describe, expect, it } from 'vitest'
import { folder } from '../support.ts'

const waits = flow('waits', async () => receive('go'))
const quick = flow('quick', (n: number) => n)
const queries: readonly RunsQuery[] = [
  {},
  { state: 'COMPLETED', limit: 7, newestFirst: true },
  { state: ['RUNNING', 'PAUSED'], limit: 3 },
  { tag: 'a', ended: true },
]

const words = (runs: readonly { readonly id: string; readonly state: { readonly name: string } }[]): string =>
  runs.map(({ id, state }) => `${id} ${state.name}`).join()

describe('engine.runs over a shared folder', () => {
  it('has what `list` has in the end, of both engines, whatever was there before', async () => {
    const { path, remove } = folder()
    const journals = [sqliteJournal(path), sqliteJournal(path)] as const
    const engines = journals.map((journal, index) => createEngine({ node: `node-${index}`, journal }))
    const [a, b] = engines as [Engine, Engine]
    try {
      for (let n = 0; n < 10; n++) await a.run(quick.with(n % 2 === 0 ? { tags: ['a'] } : {}), n)
      const lists = queries.map((query) => {
        const seen: string[] = []
        const list = b.runs(query).pipe(asList())
        const subscription = list.subscribe((runs) => seen.push(words(runs)))
        return { query, seen, stop: () => subscription.unsubscribe() }
      })
      const waiting = [a, b, a, b, a].map((engine) => engine.run(waits.with({ tags: ['a'] })))
      await Promise.all(Array.from({ length: 30 }, (_, n) => (n % 2 === 0 ? a : b).run(quick, n)))
      await waiting[0]?.pause()
      await waiting[1]?.signal('go')
      await waiting[2]?.cancel()
      await waiting[1]
      for (const { query, seen, stop } of lists) {
        const expected = words(await a.list({ limit: 1_000, ...query }))
        expect(expected).not.toBe('')
        // Fails by the time limit of the test where it never comes to that.
        while (seen.at(-1) !== expected) await new Promise((resolve) => setTimeout(resolve, 5))
        stop()
      }
      for (const run of [waiting[0], waiting[3], waiting[4]]) await run?.cancel()
    } finally {
      for (const engine of engines) await engine.close()
      for (const journal of journals) await journal.close()
      remove()
    }
  })
})
