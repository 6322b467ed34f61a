import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Watchers in another process. */
export interface Readers {
  /** Events that they have got since the last question. */
  events(): Promise<number>
  stop(): Promise<void>
}

/** Starts them; resolves when each is connected. */
export async function startReaders(base: string, count: number): Promise<Readers> {
  const file = fileURLToPath(new URL('reader.js', import.meta.url))
  const child = fork(file, [base, String(count)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ended = once(child, 'exit')
  const next = async (): Promise<unknown> => {
    const [answer] = (await Promise.race([once(child, 'message'), ended.then(() => [ended])])) as [unknown]
    if (answer === ended) throw new Error('the readers have ended')
    return answer
  }
  await next()
  return {
    async events() {
      const answer = next()
      child.send('how many')
      return (await answer) as number
    },
    async stop() {
      child.disconnect()
      await ended
    },
  }
}
