/** Processes that are killed with SIGKILL lose nothing that was committed, and do nothing again that had ended. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createEngine, type JournalSummary, type Transition } from '@troupe/core'
import { checkTransitions, seededRandom } from '@troupe/core/testing'
import { build } from 'esbuild'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { folder } from '../support.ts'
import { Lane, phases, type Hold, type Phase } from './lane.ts'
import { keysOf } from './program.ts'

/** The child in one file, for it is loaded hundreds of times; beside the thread that the journal loads. */
const program = fileURLToPath(new URL('../../dist/killed.js', import.meta.url))

beforeAll(async () => {
  await build({
    entryPoints: [fileURLToPath(new URL('child.ts', import.meta.url))],
    outfile: program,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['libsql'],
    conditions: ['@troupe/source'],
    banner: { js: "import{createRequire as r}from'node:module';const require=r(import.meta.url);" },
  })
})
afterAll(() => rmSync(program, { force: true }))

interface Kills {
  readonly kills: number
  readonly seed: number
  readonly durability: 'process' | 'power'
}

/** Kills as often as asked, steering to the moments that came least so far. */
async function killed(path: string, { kills, seed, durability }: Kills): Promise<Map<Phase, number>> {
  mkdirSync(path)
  const lane = new Lane({ folder: path, program, durability })
  const random = seededRandom(seed)
  const pick = (n: number): number => Math.floor(random.number() * n)
  const counts = new Map<Phase, number>()
  for (let kill = 0; kill < kills; kill++) {
    const rarest = (Object.keys(phases) as Hold['at'][]).toSorted(
      (a, b) => (counts.get(phases[a]) ?? 0) - (counts.get(phases[b]) ?? 0),
    )[0]
    const steered = pick(3) > 0 && rarest !== undefined
    const hold = steered ? { at: rarest, number: 1 + pick(60) } : undefined
    // What stands still is killed at once; a commit goes on meanwhile, and others run for a while or are about to begin.
    const wait = steered ? 0 : pick(5) === 0 ? -pick(250) : pick(40)
    const phase = await lane.kill(hold, wait)
    counts.set(phase, (counts.get(phase) ?? 0) + 1)
  }
  await lane.finish()
  await check(lane)
  return counts
}

/** Holds the journal and the effects against each other. */
async function check(lane: Lane): Promise<void> {
  const journal = sqliteJournal(lane.folder)
  const engine = createEngine({ journal, node: 'the reader' })
  const summaries: JournalSummary[] = []
  for (let after = 0; ;) {
    const page = await journal.list({ limit: 500, after })
    summaries.push(...page)
    const last = page.at(-1)
    if (last === undefined) break
    after = last.order
  }
  /** Where each run completed: its journal and position. */
  const completed = new Map<string, { flowRunId: string; position: number }>()
  const names: string[] = []
  for (const { flowRunId, state, position, parentRunId } of summaries) {
    expect(`${flowRunId} ${state}`).toBe(`${flowRunId} Completed`)
    const transitions: Transition[] = []
    for await (const transition of engine.watch({ flowRunId })) transitions.push(transition)
    checkTransitions(transitions)
    expect(await journal.read(flowRunId, 1, 100_000)).toHaveLength(position)
    expect(transitions.at(-1)?.position).toBe(position)
    for (const { runId, to, position: at } of transitions) {
      if (to.name === 'Completed') completed.set(runId, { flowRunId, position: at })
    }
    if (parentRunId !== undefined) continue
    names.push(flowRunId)
    expect(await (await engine.get(flowRunId))?.result()).toBe(200)
  }
  await engine.close()
  await journal.close()
  checkEffects(readFileSync(lane.effects, 'utf8'), completed)
  const done = new Set(
    [...readFileSync(lane.effects, 'utf8').matchAll(/^did \d+ \S+ (\S+)$/gm)].map(([, key]) => key),
  )
  const expected = names.flatMap(keysOf)
  expect(new Set(names)).toEqual(new Set(names.map((_, n) => `run-${n + 1}`)))
  expect(expected).toHaveLength(names.length * 200)
  expect(expected.filter((key) => !done.has(key))).toEqual([])
  expect(done.size).toBe(expected.length)
}

/** No run is run again whose end the journal had when a process began, and none twice in one process. */
function checkEffects(
  effects: string,
  completed: ReadonlyMap<string, { readonly flowRunId: string; readonly position: number }>,
): void {
  /** How far each journal could be read when the newest process began. */
  const readable = new Map<string, number>()
  const inLife = new Set<string>()
  const wrong: string[] = []
  for (const line of effects.trimEnd().split('\n')) {
    const [kind, life, id = '', rest = ''] = line.split(' ')
    if (kind === 'read') {
      readable.set(id, Number(rest))
      continue
    }
    const end = completed.get(id)
    if (end === undefined) wrong.push(`${line}: it has not completed`)
    else if (end.position <= (readable.get(end.flowRunId) ?? 0)) wrong.push(`${line}: it had ended`)
    if (inLife.has(`${life} ${id}`)) wrong.push(`${line}: twice in one process`)
    inLife.add(`${life} ${id}`)
  }
  expect(wrong).toEqual([])
}

/** Kills in several folders at once, one for each core. */
async function killedIn(lanes: number, { kills, ...options }: Kills): Promise<Map<Phase, number>> {
  const { path, remove } = folder()
  try {
    const all = await Promise.all(
      Array.from({ length: lanes }, (_, lane) =>
        killed(join(path, `${lane}`), { ...options, kills: kills / lanes, seed: options.seed + lane }),
      ),
    )
    const counts = new Map<Phase, number>()
    for (const one of all)
      for (const [phase, count] of one) counts.set(phase, (counts.get(phase) ?? 0) + count)
    return counts
  } finally {
    remove()
  }
}

describe('flow runs whose process is killed', () => {
  it(
    'complete, each effect is there, and what had ended is not run again: 300 kills',
    { timeout: 300_000 },
    async () => {
      const counts = await killedIn(2, { kills: 300, seed: 1, durability: 'process' })
      console.log(`300 kills: ${[...counts].map(([phase, count]) => `${count} ${phase}`).join(', ')}`)
      const of = (phase: Phase): number => counts.get(phase) ?? 0
      expect([...counts.values()].reduce((a, b) => a + b)).toBe(300)
      for (const phase of Object.values(phases))
        expect({ phase, count: of(phase) }).toMatchObject({ count: expect.toSatisfy((n: number) => n >= 30) })
    },
  )

  it('do so as well where each commit waits for the disk', { timeout: 120_000 }, async () => {
    const counts = await killedIn(2, { kills: 20, seed: 7, durability: 'power' })
    console.log(`20 kills: ${[...counts].map(([phase, count]) => `${count} ${phase}`).join(', ')}`)
    expect([...counts.values()].reduce((a, b) => a + b)).toBe(20)
  })
})
