import { rmSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import type { Benchmark, Group } from '../src/lib/benchmark.ts'
import { readOptions } from '../src/lib/options.ts'
import { estimate, whyDraft, whyDraftAfter } from '../src/lib/plan.ts'
import { runBenchmark } from '../src/lib/run.ts'

const params = { n: 1, subscribers: 0, warmupMs: 0, windowMs: 0 }

const group = (title: string): Group => ({
  title,
  cases: [{ label: title, measure: 'bare/chain', params, durability: 'none' }],
  shown: [],
  figures: [],
})

const fake = (more: Partial<Benchmark> = {}): Benchmark => ({
  name: 'fake',
  about: 'nothing',
  groups: () => [group('with a peer'), group('alone')],
  ...more,
})

describe('a run of chosen groups', () => {
  it('prepares for these and no others', async () => {
    const prepare = vi.fn<NonNullable<Benchmark['prepare']>>(() => ({ peer: '1.0.0' }))
    const options = readOptions(['--only', 'alone', '--rounds', '1'])
    const printed = [process.stdout, process.stderr].map((out) =>
      vi.spyOn(out, 'write').mockReturnValue(true),
    )
    expect(await runBenchmark(fake({ prepare }), options)).toBe(true)
    expect(prepare.mock.calls.map(([groups]) => groups.map(({ title }) => title))).toEqual([['alone']])
    for (const spy of printed) spy.mockRestore()
    rmSync(new URL(`../results/fake.draft.node${process.versions.node.split('.')[0]}.json`, import.meta.url))
  })
})

describe('results', () => {
  const why = (args: readonly string[], commit: string) => whyDraft(fake(), readOptions(args), commit)

  it('are kept where all was measured, in a checkout of a commit', () => {
    expect(why([], '477ddda')).toBeUndefined()
    expect(why(['--rounds', '7'], '477ddda')).toBeUndefined()
  })

  it.each([
    [['--only', 'alone'], '477ddda', 'less is measured'],
    [['--rounds', '4'], '477ddda', 'less is measured'],
    [[], '477ddda-dirty', 'changes that are not committed'],
    [[], 'unknown', 'no checkout of a commit'],
  ])('are a draft: %j at %s', (args, commit, reason) => {
    expect(why(args, commit)).toContain(reason)
  })
})

describe('results that were measured', () => {
  const done = { readings: { 'runs/s': 1 } }
  const why = (...rounds: Parameters<typeof whyDraftAfter>[0][number]['cases'][number]['rounds'][number][]) =>
    whyDraftAfter([{ cases: [{ rounds: [done] }, { rounds }] }])

  it('are kept where all of it was there, and nothing failed', () => {
    expect(why(done, done)).toBeUndefined()
  })

  it('are a draft where a round failed, or something was not there', () => {
    expect(why(done, { failure: 'ended with 1' }, { absent: 'no PostgreSQL' })).toBe('a measurement failed')
    expect(why(done, { absent: 'no PostgreSQL' })).toBe('what some of it needs is not on this machine')
  })
})

describe('how long a benchmark takes', () => {
  it('follows from its parts, by the clock where that ends them', () => {
    const options = readOptions(['--only', 'a', '--rounds', '2'])
    const of = (more: object, parts?: number): number =>
      estimate(
        fake({
          groups: () => [
            {
              ...group('a'),
              cases: [
                {
                  label: 'a',
                  measure: 'bare/chain',
                  params: { ...params, ...more },
                  ...(parts !== undefined && { parts }),
                },
              ],
            },
          ],
        }),
        options,
      )
    const started = of({})
    expect(of({ warmupMs: 3_000, windowMs: 500 }) - started).toBe(7)
    expect(of({ warmupMs: 3_000, windowMs: 500 }, 5) - started).toBe(35)
    expect(of({ warmupMs: 3_000, windowMs: 500, wallMs: 2_000 }) - started).toBe(8)
  })
})
