/**
 * A process that is killed: goes on with the flow runs of its journal, and starts others.
 *
 * It says on file descriptor 3 what it is about to do, before it does so; what it wrote there outlives it.
 */
import { openSync, writeSync } from 'node:fs'
import { createEngine, type FlowRunHandle, type Journal } from '@troupe/core'
import { sqliteJournal } from '@troupe/sqlite-journal'
import type { Order } from './lane.ts'
import { mixed, witness } from './program.ts'

const order = JSON.parse(process.argv[2] ?? '') as Order
const { folder, life, finish, hold, durability, thread } = order
const effects = openSync(order.effects, 'a')
const say = (line: string): void => void writeSync(3, `${line}\n`)
const stand = new Int32Array(new SharedArrayBuffer(4))
let marks = 0

/** Where it is to be killed it stands still, or says so. */
function mark(what: string): void {
  say(what)
  if (hold === undefined || what !== hold.at || ++marks !== hold.number) return
  say('held')
  // The journal has a thread of its own, which goes on.
  if (what !== 'commits') Atomics.wait(stand, 0, 0, 2_000)
}

witness.mark = mark
witness.effect = (runId, key) => void writeSync(effects, `did ${life} ${runId} ${key}\n`)

// One file of CommonJS loads fastest, which has no `await` at its top.
async function main(): Promise<void> {
  const durable = sqliteJournal(folder, { durability, thread })
  /** What of the journal can be read, before anybody goes on with it. */
  for (const { flowRunId, position } of await durable.list({ limit: 40, newestFirst: true })) {
    writeSync(effects, `read ${life} ${flowRunId} ${position}\n`)
  }
  const journal: Journal = {
    ...bound(durable),
    async append(append) {
      mark('commits')
      const answer = await durable.append(append)
      say('committed')
      return answer
    },
  }

  const engine = createEngine({ journal, node: `life-${life}` })
  say('recovers')
  const live: FlowRunHandle<unknown>[] = await engine.recover()
  say('goes on')

  /** Flow runs that are live at once. */
  const atOnce = 2
  const newest = (await engine.list({ newestFirst: true, limit: 1 }))[0]
  let next = newest === undefined ? 1 : Number(newest.id.replace('run-', '')) + 1
  const start = (): FlowRunHandle<unknown> => {
    const name = `run-${next++}`
    return engine.run(mixed.with({ id: name }), name).handle
  }

  async function keepGoing(run: FlowRunHandle<unknown>): Promise<void> {
    for (let current = run; ; current = start()) {
      const { name } = await current.wait()
      if (name !== 'Completed') throw new RangeError(`${current.id} ended ${name}`)
      if (finish) return
    }
  }

  while (!finish && live.length < atOnce) live.push(start())
  await Promise.all(live.map(keepGoing))
  await engine.close({ grace: '1s' })
  await durable.close()
  say('ended')
}

/** The methods of a journal, to be taken over one by one. */
function bound(from: Journal): Omit<Journal, 'append'> {
  const { encodes, mailbox, nodes, cache } = from
  return {
    encodes,
    ...(mailbox === undefined ? undefined : { mailbox }),
    ...(nodes === undefined ? undefined : { nodes }),
    ...(cache === undefined ? undefined : { cache }),
    read: (...args) => from.read(...args),
    summary: (...args) => from.summary(...args),
    list: (...args) => from.list(...args),
    delete: (...args) => from.delete(...args),
    subscribe: (...args) => from.subscribe(...args),
    close: () => from.close(),
  }
}

void main()
