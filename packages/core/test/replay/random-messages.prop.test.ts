import {
  flow,
  receive,
  sleep,
  task,
  waitForInput,
  type Flow,
  type FlowRunHandle,
  type TroupeError,
} from '@troupe/core'
import { crashEverywhere, effectsLog, seededRandom } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { schemaOf } from '../behaviour/schemas.ts'

/** One step of a made-up body. */
type Step =
  | { readonly kind: 'work' | 'hear' | 'hear or sleep' }
  | { readonly kind: 'sleep' | 'miss' | 'ask' | 'sleep or hear'; readonly ms: number }
  | { readonly kind: 'sub' | 'lost' | 'stopped'; readonly body: Program; readonly ms: number }
  | { readonly kind: 'together'; readonly bodies: readonly Program[] }

interface Program {
  readonly name: string
  readonly fails: boolean
  readonly steps: readonly Step[]
}

interface Chance {
  number(): number
}

/** All of them, and more, are longer than a body may wait before it is let go. */
const times = [1_000, 30_000, 300_000, 7_200_000]

function make(chance: Chance, name: string, depth: number): Program {
  const pick = (n: number): number => Math.floor(chance.number() * n)
  const ms = (): number => times[pick(times.length)] ?? 0
  const sub = (at: number): Program => make(chance, `${name}.${at}`, depth - 1)
  const isRoot = !name.includes('.')
  const steps: Step[] = []
  const count = isRoot ? 2 + pick(4) : 1 + pick(3)
  for (let at = 0; at < count; at++) {
    const roll = pick(depth > 0 ? 13 : 8)
    if (roll < 2) steps.push({ kind: 'work' })
    else if (roll === 2) steps.push({ kind: 'sleep', ms: ms() })
    else if (roll < 5) steps.push({ kind: 'hear' })
    else if (roll === 5) steps.push({ kind: 'hear or sleep' })
    else if (roll === 6) steps.push({ kind: 'miss', ms: ms() })
    else if (roll === 7) steps.push({ kind: isRoot ? 'ask' : 'sleep or hear', ms: ms() })
    else if (roll < 10) steps.push({ kind: 'sub', body: sub(at), ms: ms() })
    else if (roll === 10) steps.push({ kind: 'lost', body: sub(at), ms: ms() })
    else if (roll === 11) steps.push({ kind: 'stopped', body: sub(at), ms: ms() })
    else steps.push({ kind: 'together', bodies: [sub(at), sub(at + 10)] })
  }
  return { name, fails: !isRoot && pick(5) === 0, steps }
}

const log = effectsLog()
const work = task('works by chance', (key: string, heard: string) => log.record(key, heard))

const even = schemaOf<number>((value) =>
  Number(value) % 2 === 0 ? { value: Number(value) } : { issues: [{ message: 'is odd' }] },
)

const isHeard = ({ kind }: Step): boolean => kind === 'hear' || kind === 'hear or sleep'

async function told(what: PromiseLike<unknown>): Promise<string> {
  return Promise.resolve(what).then(
    String,
    (error: unknown) => `!${(error as TroupeError).code ?? String(error)}`,
  )
}

async function perform(program: Program): Promise<string> {
  const heard: string[] = []
  const isRoot = !program.name.includes('.')
  for (const [at, step] of program.steps.entries()) {
    const key = `${program.name}/${at}`
    switch (step.kind) {
      case 'work':
        await work(key, heard.join(' '))
        break
      case 'sleep':
        await sleep(step.ms)
        break
      case 'hear':
        heard.push(String(await receive('told')))
        break
      case 'hear or sleep':
        heard.push(String(await Promise.race([receive('told'), sleep('30d').then(() => 'slept')])))
        break
      case 'sleep or hear':
        heard.push(String(await Promise.race([receive('nothing'), sleep(step.ms).then(() => 'slept')])))
        break
      case 'miss':
        heard.push(await told(receive('nothing', { timeout: step.ms })))
        break
      case 'ask':
        heard.push(String(await waitForInput(even)))
        break
      case 'together':
        heard.push(`[${(await Promise.all(step.bodies.map(begin).map(told))).join('|')}]`)
        break
      case 'sub':
        heard.push(`(${await told(begin(step.body))})`)
        break
      case 'lost':
        heard.push(`(${await told(late(step.body.name))})`)
        break
      case 'stopped': {
        const part = waits(step.body.name)
        await sleep(step.ms)
        await part.cancel('enough')
        heard.push(await told(part))
        break
      }
    }
  }
  // What was told once is heard once: another one is not there.
  if (!isRoot) heard.push(await told(receive('told', { timeout: '1s' })))
  if (program.fails) throw new RangeError(`${program.name} failed`)
  await work(`${program.name} ends`, heard.join(' '))
  return heard.join(' ')
}

const root = flow('made up of messages', perform)
const part: Flow<[Program], string> = flow('part of messages', perform)
const tried = flow({ name: 'tried part of messages', retries: 1, retryDelay: '10m' }, perform)
const late = flow({ name: 'late part', timeout: '3h' }, (name: string) => receive(`${name} is never told`))
const waits = flow('waiting part', async (name: string) => {
  await sleep('1m')
  return receive(`${name} is never told`)
})

/** A subflow that is told all that it is to hear, some before it asks for it. */
async function begin(program: Program): Promise<string> {
  const run = (program.fails ? tried : part)(program)
  for (const at of program.steps.filter(isHeard).keys()) {
    await run.signal('told', `${program.name}:${at}`)
    if (at % 2 === 1) await sleep('90s')
  }
  return run
}

interface Person {
  /** Whether the bodies of runs that wait are let go. */
  readonly isSuspended: boolean
  /** Whether the run is paused, the first two times that it runs in a process. */
  readonly pauses: boolean
  /** Whether this process is the first of its run. */
  readonly isFirst: boolean
}

/** Does whatever a person may do who watches a run. */
function drive(run: FlowRunHandle<string>, steps: readonly Step[], person: Person): void {
  const { isSuspended, pauses, isFirst } = person
  const quietly = (): void => undefined
  const tell = (): void => void run.signal('told', 'by somebody').catch(quietly)
  const heard = steps.filter(isHeard)
  if (!isSuspended) heard.forEach(tell)
  let pausesLeft = pauses ? 2 : 0
  const staysPaused = isSuspended && isFirst && steps.every((step) => !('body' in step || 'bodies' in step))
  run.states.subscribe(({ name }) => {
    if (name === 'Running' && pausesLeft-- > 0) run.pause().catch(quietly)
    // One that was paused stays so until it is suspended, where it is.
    if (pauses && (name === 'Suspended' || !staysPaused)) run.resume().catch(quietly)
    if (name !== 'Paused' && name !== 'Suspended') return
    if (heard.length > 0) tell()
    run.resume(3).catch(quietly)
    run.resume(4).catch(quietly)
  })
}

const seeds = Number(process.env['TROUPE_SEEDS'] ?? 100)
const max = Number(process.env['TROUPE_CRASHES'] ?? 4)

describe('a made-up program of signals, inputs, waits and subflows', () => {
  it.each(Array.from({ length: seeds }, (_unused, seed) => seed))(
    'comes to the same end wherever its process dies (seed %i)',
    async (seed) => {
      const program = make(seededRandom(seed + 7_000), 'p', 2)
      const isSuspended = seed % 3 > 0
      let processes = 0
      const report = await crashEverywhere(root, [program], {
        log: () => undefined,
        engine: { suspendAfter: isSuspended ? '1m' : false },
        effects: log,
        seed,
        max,
        reset: () => {
          log.clear()
          processes = 0
        },
        drive: (run) =>
          drive(run, program.steps, { isSuspended, pauses: seed % 4 === 1, isFirst: ++processes === 1 }),
      })
      expect(report.points).toBeGreaterThan(0)
    },
  )
})
