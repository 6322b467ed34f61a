import { describe, expect, it } from 'vitest'
import { benchmarks } from '../src/benchmarks.ts'
import { durable } from '../src/durable.ts'
import type { Benchmark, Case } from '../src/lib/benchmark.ts'
import { loadMeasure } from '../src/lib/catalogue.ts'
import { readOptions } from '../src/lib/options.ts'
import { groupsOf } from '../src/lib/plan.ts'
import { sourcesOfMeasure } from '../src/lib/set-ups.ts'
import { nats } from '../src/nats.ts'
import { neededBy } from '../src/peers/needs.ts'
import { peers } from '../src/peers.ts'

const groups = peers.groups(readOptions([]))

const isOurs = ({ label }: Case): boolean => label.startsWith('troupe')

describe('the benchmark peers', () => {
  it('says in each label how much is done', () => {
    for (const { label, params } of groups.flatMap(({ cases }) => cases)) {
      const flows = params.flows === undefined ? '' : `, flows ${params.flows.toLocaleString('en')}`
      const [, told = ''] = / \((?:.*; )?(n .*)\)$/.exec(label) ?? []
      expect(told).toBe(`n ${params.n.toLocaleString('en')}${flows}`)
    }
  })

  it('divides a reading of Troupe by that of each peer, and times the other way round', () => {
    for (const { cases, figures } of groups) {
      const ours = new Set(cases.filter(isOurs).map(({ label }) => label))
      // Twice as fast as each.
      const read = (label: string, reading: string): number =>
        ours.has(label) === (reading.endsWith('µs') === false) ? 2 : 1
      expect(figures.map(({ formula }) => formula(read))).toEqual(figures.map(() => 2))
      for (const { label: other } of cases.filter((one) => !isOurs(one))) {
        const name = other.replace(/ \(.*/, '')
        expect(figures.some(({ label }) => label.includes(name))).toBe(true)
      }
    }
  })

  it('divides only what did as many: Troupe has a case with the task runs and flow runs of each peer', () => {
    for (const { cases, figures } of groups) {
      const sizes = new Map(cases.map(({ label, params }) => [label, params]))
      for (const { label: figure, formula } of figures) {
        const read = new Set<string>()
        formula((label) => {
          read.add(label)
          return 1
        })
        const divided = [...read].flatMap((label) => sizes.get(label) ?? [])
        const ns = new Set(divided.map(({ n }) => n))
        // A peer that does no flow runs stands beside task runs alone.
        const flows = new Set(divided.flatMap((params) => params.flows ?? []))
        expect([figure, divided.length, ns.size, flows.size > 1]).toEqual([figure, 2, 1, false])
      }
    }
  })
})

describe('what a benchmark installs', () => {
  const needed = (benchmark: Benchmark, only: string): readonly string[] =>
    neededBy(groupsOf(benchmark, readOptions(['--only', only])))

  it.each([
    { benchmark: peers, only: 'memory: one process', names: ['npm'] },
    { benchmark: peers, only: 'process: SQLite', names: ['prefect', 'postgres'] },
    { benchmark: peers, only: 'process: Temporal', names: ['npm, temporal', 'temporal-server'] },
    { benchmark: peers, only: 'power: SQLite', names: ['npm', 'postgres', 'node24'] },
    { benchmark: peers, only: 'server: tasks', names: ['npm', 'redis', 'natsServer'] },
    { benchmark: durable, only: 'sequential', names: ['npm', 'postgres', 'node24'] },
    { benchmark: durable, only: 'recovery', names: [] },
    { benchmark: nats, only: 'loop: 1 in', names: ['npm', 'redis', 'natsServer'] },
    { benchmark: nats, only: 'transitions', names: ['natsServer'] },
  ])('is what its chosen groups need: $benchmark.name, $only', ({ benchmark, only, names }) => {
    expect(needed(benchmark, only)).toEqual(names)
  })

  it('is nothing that another group of `nats` needs', async () => {
    const chosen = groupsOf(nats, readOptions(['--only', 'transitions']))
    expect(Object.keys((await nats.prepare?.(chosen)) ?? {})).toEqual(['natsServer'])
  })

  it('is all of it where all groups are measured', () => {
    expect(needed(peers, '')).toHaveLength(8)
  })
})

describe('the source that is named of a peer', () => {
  it.each([
    ['peers/prefect-threads', 'peers/prefect/measure.py'],
    ['peers/temporal-power', 'src/peers/temporal.ts'],
    ['peers/effect', 'src/cases/effect.ts'],
    ['peers/p-queue', 'src/cases/p-queue.ts'],
    ['peers/bullmq-memory', 'src/nats/bullmq.ts'],
    ['nats/light', 'src/nats/light.ts'],
  ] as const)('is where it is set up: %s in %s', (measure, source) => {
    expect(sourcesOfMeasure(measure)).toContain(source)
    // That file only lists them.
    expect(sourcesOfMeasure(measure)).not.toContain('src/cases/peers.ts')
  })

  it.each(['peers/dbos', 'peers/openworkflow'] as const)('is the list where that has it: %s', (measure) => {
    expect(sourcesOfMeasure(measure)).toContain('src/cases/peers.ts')
  })
})

describe('every case', () => {
  it('names a measurement that is there', async () => {
    const named = benchmarks.flatMap((benchmark) => benchmark.groups(readOptions([])))
    for (const { measure } of named.flatMap(({ cases }) => cases)) {
      expect(await loadMeasure(measure)).toBeTypeOf('function')
    }
  })
})
