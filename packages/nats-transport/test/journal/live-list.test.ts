/** `engine.runs` over NATS, from another node. */
import { asList, createEngine, flow, receive, task, type Engine, type RunsQuery } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { natsTransport } from '../../src/index.ts'
import { until } from '../faults/harness/until.ts'
import { useServer, versions } from '../servers/index.ts'
import { freshNamespace } from '../support.ts'

const step = task('step', (n: number) => n)
const waits = flow('waits', async () => receive('go'))
const quick = flow('quick', (n: number) => step(n))
const queries: readonly RunsQuery[] = [
  {},
  { state: 'COMPLETED', limit: 7, newestFirst: true },
  { state: ['RUNNING', 'PAUSED'], limit: 3 },
  { tag: 'a', ended: true },
]

const words = (
  runs: readonly { readonly id: string; readonly state: { readonly name: string } }[],
): string[] => runs.map(({ id, state }) => `${id} ${state.name}`)

describe.each(versions)('on the %s server', { timeout: 90_000 }, (version) => {
  const server = useServer({ version })

  it('has what `list` has in the end, also when the server was killed in between', async () => {
    const namespace = freshNamespace()
    const open = (node: string): Engine => {
      const engine = createEngine({ node, transport: natsTransport({ servers: server().url, namespace }) })
      // The connection is lost, and that is told.
      engine.errors.subscribe(() => undefined)
      return engine
    }
    const [a, b] = [open('a'), open('b')]
    for (let n = 0; n < 10; n++) await a.run(quick.with(n % 2 === 0 ? { tags: ['a'] } : {}), n)
    const lists = queries.map((query) => {
      const seen: { newest: readonly string[]; error: unknown } = { newest: [], error: undefined }
      b.runs(query)
        .pipe(asList())
        .subscribe({
          next: (runs) => (seen.newest = words(runs)),
          error: (error: unknown) => (seen.error = error),
        })
      return { query, seen }
    })
    const waiting = [a, b, a, b, a].map((engine) => engine.run(waits.with({ tags: ['a'] })))
    await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? a : b).run(quick, n)))
    await server().kill()
    const meanwhile = Array.from({ length: 5 }, (_, n) => a.run(quick.with({ tags: ['a'] }), n))
    await server().restart()
    await Promise.all(meanwhile)
    await waiting[0]?.pause()
    await waiting[1]?.signal('go')
    await waiting[2]?.cancel()
    await waiting[1]
    for (const { query, seen } of lists) {
      const expected = words(await a.list({ limit: 1_000, ...query }))
      expect(expected.length).toBeGreaterThan(1)
      await until(
        `${JSON.stringify(query)} has ${expected.length}`,
        () => seen.newest.join() === expected.join(),
      )
      expect(seen.error).toBeUndefined()
    }
    for (const run of [waiting[0], waiting[3], waiting[4]]) await run?.cancel()
    await a.close()
    await b.close()
  })
})
