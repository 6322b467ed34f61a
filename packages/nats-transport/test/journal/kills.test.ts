import { afterEach, describe, expect, it } from 'vitest'
import { startCluster, startServer, versions } from '../servers/index.ts'
import type { NatsCluster, NatsServer } from '../servers/index.ts'
import { all, append, create, nodeAt, note, wordsOf, type TestNode } from '../support.ts'

type Version = (typeof versions)[number]

/** Servers and nodes of the tests of a `describe`, ended after each. */
function useRig() {
  const closing: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close()
  })
  const one = async (version: Version): Promise<NatsServer> => {
    const server = await startServer({ version })
    closing.push(() => server.stop())
    return server
  }
  const three = async (version: Version): Promise<NatsCluster> => {
    const cluster = await startCluster({ version })
    closing.push(() => cluster.stop())
    return cluster
  }
  const node = (
    servers: string | readonly string[],
    options: { namespace?: string; replicas?: number } = {},
  ): TestNode => {
    const made = nodeAt({ servers, ...options })
    closing.push(() => made.close())
    return made
  }
  return { one, three, node }
}

const runs = ['a', 'b', 'c', 'd']

/** Appends to several runs at once, as an engine does: what is not answered is repeated with the same entries. */
class Load {
  /** What was answered, by flow run. */
  readonly answered = new Map<string, string[]>(runs.map((run) => [run, []]))
  readonly #writer: TestNode
  #stopped = false
  #waits: { readonly count: number; readonly go: () => void }[] = []

  constructor(writer: TestNode) {
    this.#writer = writer
  }

  async run(): Promise<void> {
    await Promise.all(runs.map((run) => this.#append(run)))
  }

  stop(): void {
    this.#stopped = true
  }

  count(): number {
    return [...this.answered.values()].reduce((sum, words) => sum + words.length, 0)
  }

  /** Resolves when so many more were answered. */
  more(count: number): Promise<void> {
    return new Promise((go) => this.#waits.push({ count: this.count() + count, go }))
  }

  async #append(run: string): Promise<void> {
    const { journal } = this.#writer
    await create(journal, run)
    const words = this.answered.get(run) ?? []
    while (!this.#stopped) {
      const word = `${run} ${words.length}`
      const entries = [note(word)]
      for (;;) {
        try {
          const refused = await append(journal, run, 2 + words.length, entries)
          if (refused !== undefined) throw new TypeError(`${word} was refused at ${refused.position}`)
          break
        } catch (error) {
          if (!(error instanceof Error && 'code' in error && error.code === 'TRANSPORT_UNAVAILABLE'))
            throw error
        }
      }
      words.push(word)
      const count = this.count()
      this.#waits = this.#waits.filter((wait) => {
        if (wait.count <= count) wait.go()
        return wait.count > count
      })
    }
  }
}

/** What a follower of everything was told, by flow run. */
function follow({ journal }: TestNode): {
  told: Map<string, string[]>
  reached: (words: Map<string, string[]>) => Promise<void>
} {
  const told = new Map<string, string[]>(runs.map((run) => [run, []]))
  let look = (): void => undefined
  journal.subscribe((run, _, entries) => {
    told.get(run)?.push(...wordsOf(entries))
    look()
  })
  return {
    told,
    reached: (words) =>
      new Promise((resolve) => {
        look = () => {
          if (runs.every((run) => (told.get(run)?.length ?? 0) >= (words.get(run)?.length ?? 0))) resolve()
        }
        look()
      }),
  }
}

async function check(load: Load, others: TestNode, watched: ReturnType<typeof follow>): Promise<void> {
  for (const run of runs) expect(wordsOf(await all(others.journal, run))).toEqual(load.answered.get(run))
  await watched.reached(load.answered)
  for (const run of runs) expect(watched.told.get(run)).toEqual(load.answered.get(run))
  const listed = await others.journal.list({ limit: 10 })
  expect(new Map(listed.map(({ flowRunId, position }) => [flowRunId, position]))).toEqual(
    new Map([...load.answered].map(([run, words]) => [run, words.length + 2])),
  )
}

describe.concurrent.each(versions)('with the %s server killed and started again under appends', (version) => {
  const { one, node } = useRig()

  it('loses nothing that was answered, and tells followers each commit once and in order', async () => {
    const server = await one(version)
    const writer = node(server.url)
    const others = node(server.url, { namespace: writer.namespace })
    const load = new Load(writer)
    const watched = follow(others)
    await others.journal.list({ limit: 1 })
    const working = load.run()
    for (let kill = 0; kill < 4; kill++) {
      await load.more(100)
      await server.kill('SIGKILL')
      await server.restart()
    }
    await load.more(100)
    load.stop()
    await working
    expect(load.count()).toBeGreaterThanOrEqual(500)
    await check(load, others, watched)
  }, 120_000)
})

describe.concurrent.each(versions)('with three of the %s server', (version) => {
  const { three, node } = useRig()

  it('goes on where the leader of the journal is killed, losing and repeating nothing', async () => {
    const cluster = await three(version)
    const writer = node(cluster.urls, { replicas: 3 })
    const others = node(cluster.urls, { namespace: writer.namespace, replicas: 3 })
    const load = new Load(writer)
    const watched = follow(others)
    await others.journal.list({ limit: 1 })
    const working = load.run()
    for (let kill = 0; kill < 2; kill++) {
      await load.more(100)
      const leader = await cluster.leader(`${writer.namespace}_EV`)
      await leader.kill('SIGKILL')
      await load.more(100)
      await leader.restart()
      await cluster.healthy()
    }
    load.stop()
    await working
    expect(load.count()).toBeGreaterThanOrEqual(400)
    await check(load, others, watched)
  }, 180_000)
})
