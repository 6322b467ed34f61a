/** Processes that are killed with SIGKILL lose nothing that was committed, and do nothing again that had ended. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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

/** Where the child is, and the thread of its journal: each in one file of CommonJS, which load hundreds of times. */
const built = fileURLToPath(new URL('../../dist/killed/', import.meta.url))

beforeAll(async () => {
  mkdirSync(built, { recursive: true })
  writeFileSync(join(built, 'package.json'), '{ "type": "commonjs" }')
  const entryPoints = {
    child: fileURLToPath(new URL('child.ts', import.meta.url)),
    'thread/entry': fileURLToPath(new URL('../../src/thread/entry.ts', import.meta.url)),
  }
  await build({
    entryPoints,
    outdir: built,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    external: ['libsql'],
    conditions: ['@troupe/source'],
    define: { 'import.meta': 'meta' },
    banner: { js: "const meta={url:require('node:url').pathToFileURL(__filename).href};" },
  })
})
afterAll(() => rmSync(built, { recursive: true, force: true }))

interface Kills {
  readonly kills: number
  readonly seed: number
  readonly durability: 'process' | 'power'
  /** Default true. */
  readonly thread?: boolean
}

/** What was done, and when processes were killed. */
interface Tally {
  readonly counts: Map<Phase, number>
  /** Flow runs that were started, and bodies that were run again though they had had their effect. */
  runs: number
  again: number
}

/** Kills as often as asked, steering to the moments that came least so far. */
async function killed(path: string, { kills, seed, durability, thread = true }: Kills): Promise<Tally> {
  mkdirSync(path)
  const lane = new Lane({ folder: path, program: join(built, 'child.js'), durability, thread })
  const random = seededRandom(seed)
  const pick = (n: number): number => Math.floor(random.number() * n)
  const counts = new Map<Phase, number>()
  for (let kill = 0; kill < kills; kill++) {
    const rarest = (Object.keys(phases) as Hold['at'][]).toSorted(
      (a, b) => (counts.get(phases[a]) ?? 0) - (counts.get(phases[b]) ?? 0),
    )[0]
    const steered = pick(3) > 0 && rarest !== undefined
    const hold = steered ? { at: rarest, number: 1 + pick(40) } : undefined
    // What stands still is killed at once; a commit goes on meanwhile, and others run for a while or are about to begin.
    const wait = steered ? 0 : pick(5) === 0 ? -pick(250) : pick(25)
    const phase = await lane.kill(hold, wait)
    counts.set(phase, (counts.get(phase) ?? 0) + 1)
  }
  await lane.finish()
  return { counts, ...(await check(lane)) }
}

/** Holds the journal and the effects against each other. */
async function check(lane: Lane): Promise<Pick<Tally, 'runs' | 'again'>> {
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
  const effects = readFileSync(lane.effects, 'utf8')
  checkEffects(effects, completed)
  const done = [...effects.matchAll(/^did \d+ \S+ (\S+)$/gm)].map(([, key]) => key)
  const expected = names.flatMap(keysOf)
  expect(new Set(names)).toEqual(new Set(names.map((_, n) => `run-${n + 1}`)))
  expect(expected).toHaveLength(names.length * 200)
  expect(new Set(done)).toEqual(new Set(expected))
  return { runs: names.length, again: done.length - expected.length }
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

/** Kills in two folders at once, one for each of two cores. */
async function killedInTwo({ kills, seed, ...journal }: Kills): Promise<Tally> {
  const { path, remove } = folder()
  try {
    const lanes = await Promise.all(
      [0, 1].map((lane) =>
        killed(join(path, `${lane}`), { kills: kills / 2, seed: seed + lane, ...journal }),
      ),
    )
    const sum: Tally = { counts: new Map(), runs: 0, again: 0 }
    for (const { counts, runs, again } of lanes) {
      for (const [phase, count] of counts) sum.counts.set(phase, (sum.counts.get(phase) ?? 0) + count)
      sum.runs += runs
      sum.again += again
    }
    const told = [...sum.counts].map(([phase, count]) => `${count} ${phase}`).join('; ')
    console.log(`${kills} kills: ${told}\n${sum.runs} flow runs of 200 tasks, ${sum.again} bodies ran again`)
    return sum
  } finally {
    remove()
  }
}

const total = ({ counts }: Tally): number => [...counts.values()].reduce((sum, count) => sum + count, 0)

describe('flow runs whose process is killed', () => {
  it(
    'complete, with each effect, and nothing that had ended is run again',
    { timeout: 300_000 },
    async () => {
      const tally = await killedInTwo({ kills: 300, seed: 1, durability: 'process' })
      expect(total(tally)).toBe(300)
      const seldom = Object.values(phases).filter((phase) => (tally.counts.get(phase) ?? 0) < 30)
      expect(seldom).toEqual([])
      expect(tally.again).toBeGreaterThan(0)
    },
  )

  it('do so as well where each commit waits for the disk', { timeout: 120_000 }, async () => {
    expect(total(await killedInTwo({ kills: 20, seed: 7, durability: 'power' }))).toBe(20)
  })

  it('do so as well where the journal has no thread', { timeout: 120_000 }, async () => {
    const tally = await killedInTwo({ kills: 40, seed: 11, durability: 'process', thread: false })
    expect(total(tally)).toBe(40)
  })
})
