import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Kind } from './kinds.ts'
import type { Place } from './loop.ts'

const entry = fileURLToPath(new URL('worker.js', import.meta.url))

/** The process that runs the tasks. */
export interface WorkerProcess {
  /** CPU time that it has used, in milliseconds. */
  cpuMs(): Promise<number>
  stop(): Promise<void>
}

/** Starts the worker of what is measured; resolves when it takes tasks. Node's options are handed on. */
export async function startWorker(kind: Kind, { urls, replicas }: Place): Promise<WorkerProcess> {
  const child = fork(entry, [kind, JSON.stringify({ urls, replicas })], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = once(child, 'exit')
  const next = async (): Promise<unknown> => {
    const answered = once(child, 'message')
    const [answer] = (await Promise.race([answered, ended.then(() => ['ended'])])) as [unknown]
    if (answer === 'ended') throw new Error('the worker has ended')
    return answer
  }
  await next()
  return {
    cpuMs: async () => {
      const answered = next()
      child.send('cpu')
      return Number(await answered)
    },
    stop: async () => {
      child.disconnect()
      await ended
    },
  }
}
