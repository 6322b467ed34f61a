import {
  currentFlowRun,
  exponentialBackoff,
  flow,
  inputs,
  memoryCache,
  now,
  random,
  retryAfter,
  sleep,
  task,
  uuid,
  waitAll,
  withTags,
  type Cache,
  type Engine,
  type Flow,
  type Limit,
  type Transition,
} from '@troupe/core'
import {
  checkTransitions,
  crashEverywhere,
  createTestEngine,
  type CrashedRun,
  type TestEngine,
} from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { rest } from './lives.ts'

/** What bodies did, whichever process they ran in. */
let effects = new Map<string, number>()
const did = (key: string): void => void effects.set(key, (effects.get(key) ?? 0) + 1)

const turns = async (n: number): Promise<void> => {
  for (let left = n; left > 0; left--) await new Promise((resolve) => setImmediate(resolve))
}

const work = task('work', async (key: string, wait = 0) => {
  did(key)
  await turns(wait)
  return key
})

/** Fails as often as it is told to, counted over all processes. */
const failing = async (key: string, times: number): Promise<string> => {
  did(`${key} tried`)
  await turns(1)
  if ((effects.get(`${key} failed`) ?? 0) < times) {
    did(`${key} failed`)
    throw new Error(`${key} failed`)
  }
  return key
}
const flaky = task({ name: 'flaky', retries: 5, retryDelay: '1m' }, failing)
const patient = task(
  { name: 'patient', retries: 5, retryDelay: exponentialBackoff('1s'), retryJitter: 0.5, tags: ['db'] },
  failing,
)
const asks = task({ name: 'asks', retries: 5 }, async (key: string) => {
  try {
    return await failing(key, 2)
  } catch (error) {
    throw retryAfter('10s', error)
  }
})
const never = task({ name: 'never', timeout: '5s' }, async (key: string) => {
  did(key)
  await sleep('1h')
})
const neverTwice = task({ name: 'never-twice', timeout: '5s', retries: 1, retryDelay: '5s' }, async () => {
  await sleep('1h')
})
const limited = task({ name: 'limited', tags: ['db'] }, async (key: string) => {
  did(key)
  await sleep(10)
  return key
})
const rated = task('rated', (key: string) => {
  did(key)
  return key
})
const cached = task({ name: 'cached', cache: inputs(), cacheExpiry: '1h' }, async (key: string) => {
  did(`cached ${key}`)
  await turns(2)
  return `the ${key}`
})
const named = task(
  { name: 'named', runName: 'named {0} of {1.file}' },
  (key: string, { file }: { file: string }) => {
    did(key)
    return file
  },
)
const family = task(
  { name: 'family', tags: ['family'], retries: 1, retryDelay: '1s' },
  async (key: string) => {
    const parts = await Promise.all([work(`${key} a`, 2), limited(`${key} b`)])
    if ((effects.get(`${key} failed`) ?? 0) === 0) {
      did(`${key} failed`)
      throw new Error('again')
    }
    return parts.join('+')
  },
)
const sub = flow({ name: 'sub', timeout: '1h', retries: 1, retryDelay: '2s' }, async (key: string) => {
  const got = await limited(`sub ${key}`)
  if ((effects.get(`${key} sub failed`) ?? 0) === 0) {
    did(`${key} sub failed`)
    throw new Error('again')
  }
  return got
})
const hooked = task(
  {
    name: 'hooked',
    onCompletion: () => sleep(5),
    onRunning: () => {
      throw new Error('a hook of its own')
    },
  },
  () => 'hooked',
)
const subNever = flow({ name: 'sub-never', timeout: '20s', grace: '1s' }, async () => {
  await Promise.all([limited('below never'), sleep('3h')])
})

const flows: Record<string, Flow<[], unknown>> = {
  'retries that wait': flow('o-retries', async () => {
    const first = await flaky('f', 2)
    const both = await Promise.all([patient('p', 2), asks('a')])
    return [first, ...both, await work('end')]
  }),
  'a flow that is tried again later': flow(
    { name: 'o-flow-retries', retries: 3, retryDelay: ['1s', '1m'] },
    async () => {
      const a = await work('before')
      const b = await Promise.all([limited('x'), cached('y')])
      if ((effects.get('flow failed') ?? 0) < 2) {
        did('flow failed')
        throw new Error('again')
      }
      return [a, ...b, await work('after')]
    },
  ),
  'time limits of tasks': flow('o-timeouts', async () => {
    const { done } = await waitAll([never('n'), neverTwice(), work('w', 3)])
    return [...done.map(({ state }) => state.name), await work('then')]
  }),
  'time limits of subflows': flow('o-sub-timeouts', async () => {
    const { done } = await waitAll([subNever(), sub('s')])
    return [...done.map(({ state }) => state.name), await work('then')]
  }),
  'slots and rates': flow('o-limits', async () => {
    const many = await Promise.all(['1', '2', '3', '4'].map((key) => limited(key)))
    const more = await Promise.all(['r1', 'r2', 'r3'].map((key) => rated.with({ priority: key.length })(key)))
    return [...many, ...more]
  }),
  'slots in nested tasks that are tried again': flow('o-family', async () =>
    Promise.all([family('x'), family('y')]),
  ),
  'slots of subflows': flow('o-subflows', async () => Promise.all([sub('one'), sub('two'), sub('three')])),
  'cached results': flow('o-caches', async () => {
    const both = await Promise.all([cached('k'), cached('k')])
    return [...both, await cached('k'), await cached('l'), await work(both.join())]
  }),
  'names from arguments': flow('o-names', async () => {
    const file = work('file')
    return Promise.all([named('n', { file: 'x' }), named('m', { file }), named('l', { file: await file })])
  }),
  'tags of a scope': flow('o-tags', async () =>
    withTags(['db'], () => Promise.all([work('t1', 3), work('t2', 2), limited('t3')])),
  ),
  'draws beside retries': flow('o-draws', async () => {
    const id = uuid()
    const first = await flaky(`d${id.length}`, 1)
    const coin = random() < 2
    const again = await limited(`after ${coin} ${now() > 0}`)
    return [first, coin, again, currentFlowRun().parameters.length]
  }),
  hooks: flow({ name: 'o-hooks', onRunning: () => turns(3) }, async () => [
    await hooked(),
    await work('end'),
  ]),
  'a race of a limit and a retry': flow('o-race', async () => {
    const winner = await Promise.race([neverTwice().then(() => 'never'), limited('quick')])
    return [winner, await work(`after ${winner}`)]
  }),
}

const limits: readonly Limit[] = [
  { tag: 'db', concurrency: 2 },
  { tag: 'family', concurrency: 4 },
  { task: 'rated', rate: { count: 1, per: '5s' } },
  { flow: 'sub', concurrency: 1 },
]

/** What a run was seen to do, and is checked for at its end. */
let live: Transition[] = []

async function checkEnd({ engine, deaths }: CrashedRun<unknown>): Promise<void> {
  await rest()
  checkSlots(engine)
  await engine.close()
  expect(engine.clock.waiting).toBe(0)
  checkShown(live, await everything(engine))
  checkCounts(deaths)
}

function checkSlots(engine: Engine): void {
  expect(engine.limits.list().map(({ held, waiting }) => held + waiting)).toEqual(limits.map(() => 0))
}

/** What was shown live is what the journal says. */
function checkShown(shown: readonly Transition[], all: readonly Transition[]): void {
  checkTransitions(all)
  const known = new Set(all.map(lineOf))
  expect(shown.map(lineOf).filter((line) => !known.has(line))).toEqual([])
}

function lineOf({ flowRunId, position, runName, seq, attempt, at, to }: Transition): string {
  return `${flowRunId} ${position}: ${runName} ${seq} ${to.name} ${attempt} ${at} ${to.message ?? ''}`
}

/** What has ended is not run again. */
function checkCounts(deaths: number): void {
  const often = [...effects].filter(([key, times]) => !/ (tried|failed)$/.test(key) && times > deaths + 1)
  expect(often).toEqual([])
}

/** All transitions of a journal, of subflows, too. */
async function everything({ journal, clock }: TestEngine): Promise<Transition[]> {
  await using reader = createTestEngine({ journal, clock })
  const all: Transition[] = []
  const subscription = reader.watch().subscribe((transition) => all.push(transition))
  await rest()
  subscription.unsubscribe()
  return all
}

const caches: Record<string, (process: number) => Cache> = {
  'a cache that is lost, too': () => memoryCache(),
  'a cache that is not': (process) => (process === 1 ? (shared = memoryCache()) : shared),
}
let shared = memoryCache()

describe.each(Object.entries(caches))('a flow run whose process dies, with %s', (_name, cacheOf) => {
  it.each(Object.entries(flows))(
    'ends as an uncrashed one does, wherever it dies: %s',
    async (_, started) => {
      const { points, repeated } = await crashEverywhere(started, [], {
        times: 3,
        max: 90,
        engine: (process) => ({ limits, cache: cacheOf(process) }),
        effects: () => new Set(effects.keys()),
        reset() {
          effects = new Map()
          live = []
        },
        drive: (_run, engine) =>
          void engine.transitions.subscribe((transition) => void live.push(transition)),
        check: checkEnd,
        log: () => undefined,
      })
      expect(points).toBeGreaterThan(8)
      expect(repeated).toBeGreaterThan(10)
    },
  )
})
