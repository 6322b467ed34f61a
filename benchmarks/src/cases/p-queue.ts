import { expectEqual, type Params, type Readings } from '../lib/measure.ts'
import { throughput } from '../lib/throughput.ts'
import { loadPeer } from '../peers/install.ts'
import { flowsAtOnce as concurrency } from './durable-work.ts'

/** What is used of p-queue. */
interface QueueModule {
  readonly default: new (options: { concurrency: number }) => {
    add<Value>(body: () => Promise<Value>): Promise<Value>
  }
}

const body = async (i: number): Promise<number> => i

/** p-queue remembers nothing of what it ran: no runs, no states, no journal. */
export async function pQueue(params: Params): Promise<Readings> {
  const { default: PQueue } = await loadPeer<QueueModule>('p-queue')
  return throughput(() => {
    const queue = new PQueue({ concurrency })
    return {
      work: async (n) => {
        const values = await Promise.all(Array.from({ length: n }, (_, i) => queue.add(() => body(i))))
        expectEqual('values', values.filter((value, i) => value === i).length, n)
      },
    }
  }, params)
}
