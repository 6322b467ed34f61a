import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Place } from './loop.ts'

/** A process that the measuring one has beside it. */
export interface Beside {
  readonly pid: number
  /** Asks for what it has measured. */
  ask(): Promise<unknown>
  stop(): Promise<void>
}

/** Starts one; resolves when it is ready. Node's options are handed on. */
export async function startBeside(
  entry: 'worker' | 'watcher' | 'node',
  { urls, replicas }: Place,
  ...args: readonly string[]
): Promise<Beside> {
  const file = fileURLToPath(new URL(`${entry}.js`, import.meta.url))
  const child = fork(file, [JSON.stringify({ urls, replicas }), ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = once(child, 'exit')
  const next = async (): Promise<unknown> => {
    const answered = once(child, 'message')
    const [answer] = (await Promise.race([answered, ended.then(() => [ended])])) as [unknown]
    if (answer === ended) throw new Error(`the ${entry} has ended`)
    return answer
  }
  await next()
  return {
    pid: child.pid ?? NaN,
    ask: async () => {
      const answered = next()
      child.send('ask')
      return answered
    },
    stop: async () => {
      child.disconnect()
      await ended
    },
  }
}
