/** The flows of the examples survive a crash anywhere. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Flow } from '@troupe/core'
import { crashEverywhere, type CrashOptions } from '@troupe/core/testing'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { dataFiles } from '../src/quickstart/data-files.ts'
import { flights } from '../src/quickstart/flow.ts'

interface Case {
  readonly flow: Flow<never[], unknown>
  readonly args: readonly unknown[]
  readonly options?: CrashOptions<unknown>
}

/** The parts of an example that this page needs. */
type Example = Readonly<Record<string, unknown>>

const caseOf = (flow: unknown, args: readonly unknown[], options: CrashOptions<unknown> = {}): Case => ({
  flow: flow as Case['flow'],
  args,
  options,
})

/** What is crashed of each example. */
const cases: Record<string, (example: Example) => Case[]> = {
  'approval.ts': ({ expense }) => [
    caseOf(expense, ['a desk', 300], {
      drive: (run) => {
        // Given whenever the run may have asked; one that has it takes no other.
        const give = (): void => void run.resume({ approved: true, by: 'Ada' }).catch(() => undefined)
        run.states.subscribe(({ name }) => name === 'Paused' && give())
      },
    }),
  ],
  'hello.ts': ({ hello }) => [caseOf(hello, [['Ada', 'Grace']])],
  'dependencies.ts': ({ checkout }) => [caseOf(checkout, [['tea', 'cups', 'pot']])],
  'fan-out.ts': ({ inOrder, asTheyEnd, inTime }) => [
    caseOf(inOrder, [[9, 1, 5]]),
    caseOf(asTheyEnd, [[9, 1, 5]]),
    caseOf(inTime, [[1, 5, 60_000]]),
  ],
  'failures.ts': ({ flows }) =>
    (flows as unknown[]).map((started) =>
      // Its task tells which attempt succeeded, and an attempt that was lost counts.
      caseOf(started, [], { result: (value) => String(value).replace(/\d/, 'n') }),
    ),
  'limits.ts': ({ report }) => [caseOf(report, [])],
  'recovery.ts': ({ trip }) => [caseOf(trip, [])],
  'runners.ts': ({ canary }) => [caseOf(canary, [])],
  'stream.ts': ({ total }) => [caseOf(total, [['a.txt', 'b.txt']])],
  'subflows.ts': ({ house }) => [caseOf(house, [{ ground: ['kitchen', 'hall'], attic: ['store', ''] }])],
}

/** Why others are not. */
const without: Record<string, string> = {
  'cancel.ts': 'it ends when it is cancelled from outside, at a moment that its uploads choose',
  'durable.ts': 'it starts processes of itself, one of which is killed',
  'resilience.ts': 'its server answers each request once',
  'threads.ts': 'its bodies compute on threads, in real time, and one never ends',
}

const src = fileURLToPath(new URL('../src/', import.meta.url))

describe('the flows of the examples survive a crash anywhere', () => {
  it('each of them, or it is said why not', () => {
    const names = readdirSync(src).filter((name) => name.endsWith('.ts'))
    expect([...Object.keys(cases), ...Object.keys(without)].toSorted()).toEqual(names.toSorted())
  })

  it.each(Object.entries(cases))('%s', async (name, casesOf) => {
    const lines: string[] = []
    // Importing an example runs it.
    const quiet = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    try {
      for (const { flow, args, options } of casesOf(
        (await import(`../src/${name.replace('.ts', '')}.ts`)) as Example,
      )) {
        const { points } = await crashEverywhere(flow, args as never[], {
          ...options,
          log: (line) => void lines.push(line),
        })
        expect(points).toBeGreaterThan(5)
      }
    } finally {
      quiet.mockRestore()
    }
    console.log(lines.join('\n'))
  })
})

describe('the quickstart', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'troupe-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('writes the same report after a crash', async () => {
    const page = join(folder, 'report.html')
    // Three million flights are read in each run, so only some points are tried.
    const { points } = await crashEverywhere(flights, [dataFiles(), page], {
      // The chart library numbers what it draws from one report to the next.
      effects: () => readFileSync(page, 'utf8').replaceAll(/(clip|gradient_)\d+/g, '$1'),
      result: ({ findings }) => findings,
      reset: () => rmSync(page, { force: true }),
      max: 2,
      times: 1,
      limit: '1m',
    })
    expect(points).toBe(2)
  }, 120_000)
})
