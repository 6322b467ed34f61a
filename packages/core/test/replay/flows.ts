import {
  asCompleted,
  currentTaskRun,
  flow,
  now,
  random,
  sleep,
  task,
  uuid,
  waitAll,
  type Flow,
} from '@troupe/core'

/** External effects of tasks, by key: how often each was done. */
export class Effects {
  readonly counts = new Map<string, number>()

  add(key: string): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
  }

  get keys(): string[] {
    return [...this.counts.keys()].toSorted()
  }
}

let effects = new Effects()

/** Effects of what runs from now on. */
export function freshEffects(): Effects {
  effects = new Effects()
  tosses = new Set()
  payments = new Set()
  return effects
}

const turns = (n: number): Promise<void> =>
  n === 0 ? Promise.resolve() : new Promise((resolve) => setImmediate(() => void turns(n - 1).then(resolve)))

/** Does an effect, and ends after some turns of the event loop. */
const work = task('work', async (key: string, wait = 0): Promise<string> => {
  effects.add(key)
  await turns(wait)
  return key
})

const fails = task('fails', (key: string): never => {
  effects.add(key)
  throw new RangeError(`${key} is out of range`)
})

const draw = task('draw', (n: number, id: string): string => {
  effects.add(`draw ${n > 0 && n < 1} ${id.length}`)
  return `${n}/${id}`
})

let tosses = new Set<string>()

const tossed = task('tossed', (coin: string, id: string) => {
  tosses.add(`${coin} ${id}`)
})

let payments = new Set<string>()

/** Pays with the id of the run as the key that makes paying twice harmless. */
const pay = task('pay', async (account: string, wait = 0) => {
  const { id } = currentTaskRun()
  payments.add(`${account} ${id}`)
  await turns(wait)
  return id
})

const payingChild = flow('paying-child', (account: string) => pay(account))

const nestedLeaf = task('nested-leaf', async (key: string) => {
  effects.add(key)
  return key.length
})

const nested = task('nested', async (key: string) => {
  const first = await nestedLeaf(`${key}.1`)
  const rest = await Promise.all([nestedLeaf(`${key}.22`), nestedLeaf(`${key}.333`)])
  effects.add(`${key} done`)
  return [first, ...rest]
})

const child = flow('child', async (key: string) => {
  const a = await work(`${key} a`)
  return `${a}+${await work(`${key} b`, 1)}`
})

let failures = new Map<string, number>()

/** Bodies that fail a given number of times start from none. */
export function resetFailures(): void {
  failures = new Map()
}

const flaky = task({ name: 'flaky', retries: 3 }, async (key: string, times: number) => {
  const seen = failures.get(key) ?? 0
  failures.set(key, seen + 1)
  await turns(1)
  if (seen < times) throw new Error(`${key} failed for the time ${seen + 1}`)
  effects.add(key)
  return key
})

/** One flow an idea; each gives something that depends on the path it took. */
export const flows: Record<string, Flow<[], unknown>> = {
  'a sequence': flow('sequence', async () => {
    const seen: string[] = []
    for (const key of ['a', 'b', 'c', 'd']) seen.push(await work(key))
    return seen
  }),
  'a race that the second call wins': flow('race', async () => {
    const winner = await Promise.race([work('slow', 6), work('fast', 0)])
    return [winner, await work(`after ${winner}`)]
  }),
  'a race that the first call wins': flow('race-first', async () => {
    const winner = await Promise.race([work('fast', 0), work('slow', 6)])
    return [winner, await work(`after ${winner}`)]
  }),
  'identical calls': flow('identical', async () => {
    const results = await Promise.all([work('same'), work('same', 0), work('same')])
    return [...results, await work('same')]
  }),
  'a dependency, a map and a fan-in': flow('fan-in', async () => {
    const parts = work.map(['p', 'q', 'r'])
    return work(work('last'), 1).then((last) => Promise.all(parts).then((all) => [last, ...all]))
  }),
  'nested tasks': flow('nested-flow', async () => {
    const [x, y] = await Promise.all([nested('x'), nested('y')])
    return [x, y, await work('end')]
  }),
  'caught failures': flow('caught', async () => {
    const seen: string[] = []
    try {
      await fails('boom')
    } catch (error) {
      seen.push(`${(error as Error).name}: ${(error as Error).message}`)
    }
    const { done } = await waitAll([fails('bang'), work('fine')])
    seen.push(...done.map((future) => future.state.name))
    return seen
  }),
  'subflows, one after another and at once': flow('subflows', async () => {
    const first = await child('one')
    const both = await Promise.all([child('two'), child('three')])
    return [first, ...both]
  }),
  'draws that decide the path': flow('draws', async () => {
    const at = now()
    const id = uuid()
    const coin = random() < 0.5 ? 'heads' : 'tails'
    await tossed(coin, id)
    const drawn = await draw(random(), id)
    // One side only, and one id: an effect of a draw that was lost would be there besides.
    return [at > 0, tosses.size, drawn.endsWith(id), now() >= at]
  }),
  'run ids as keys': flow('keys', async () => {
    const keys = await Promise.all([pay('a'), pay('b', 3), pay('a')])
    keys.push(await pay('c'))
    return [new Set(keys).size, payments.size]
  }),
  'sleeps beside work': flow('sleeps', async () => {
    const order: string[] = []
    const note = (what: string) => () => void order.push(what)
    await Promise.all([
      sleep('30ms').then(note('30')),
      sleep('10ms').then(note('10')),
      work('w').then(note('w')),
    ])
    await sleep('5ms')
    return [...order, await work(order.join('-'))]
  }),
  'task retries': flow('task-retries', async () => [await flaky('f', 2), await work('then')]),
  'a flow that is tried again': flow({ name: 'flow-retries', retries: 2 }, async () => {
    const a = await work('before')
    const b = await Promise.all([work('x', 2), work('y')])
    const seen = failures.get('flow') ?? 0
    failures.set('flow', seen + 1)
    if (seen < 2) throw new Error('again')
    return [a, ...b, await work('after')]
  }),
  'calls with keys': flow('keyed', async () => [
    await work.with({ key: 'first' })('same'),
    await work.with({ key: 'second' })('same'),
  ]),
  'draws handed to a subflow': flow('draws-down', async () => {
    const drawn = await Promise.all([payingChild(uuid()), payingChild(uuid())])
    return [new Set(drawn).size, payments.size]
  }),
  'completion order': flow('completed', async () => {
    const order: string[] = []
    for await (const future of asCompleted([work('late', 8), work('soon', 0), work('mid', 4)])) {
      order.push(await future.result())
      await work(`step ${order.length}`)
    }
    return order
  }),
  'futures returned': flow('returned', () => ({ a: work('a'), list: [work('b'), work('c', 2)] })),
}
