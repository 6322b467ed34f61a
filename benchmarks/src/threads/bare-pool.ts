import { Worker } from 'node:worker_threads'
import type { Batch } from './bare-thread.ts'

/** Jobs on their way to a thread: enough that it never waits, few enough that neither has more to do at the end. */
const ahead = { compute: 2, computeLong: 2, small: 256 } as const

/** A bare loop over `worker_threads`, with what makes it fast: batched messages and jobs given ahead. */
export class BarePool {
  readonly #workers: Worker[]
  readonly #ahead: number

  constructor(threads: number, kind: keyof typeof ahead) {
    const entry = new URL('./bare-thread.js', import.meta.url)
    this.#workers = Array.from({ length: threads }, () => new Worker(entry))
    this.#ahead = ahead[kind]
  }

  /** Runs `n` jobs. @returns How many answers came */
  async run(name: keyof typeof ahead, n: number): Promise<number> {
    let next = 0
    let answered = 0
    await new Promise<void>((resolve) => {
      const give = (worker: Worker, count: number): void => {
        const batch: [number, keyof typeof ahead, number][] = []
        while (batch.length < count && next < n) batch.push([next, name, next++])
        if (batch.length > 0) worker.postMessage(batch satisfies Batch)
      }
      for (const worker of this.#workers) {
        const listener = (answers: readonly unknown[]): void => {
          answered += answers.length
          give(worker, answers.length)
          if (answered < n) return
          for (const each of this.#workers) each.removeAllListeners('message')
          resolve()
        }
        worker.on('message', listener)
        // Two batches: one is executed while the other is on its way.
        give(worker, Math.ceil(this.#ahead / 2))
        give(worker, Math.ceil(this.#ahead / 2))
      }
    })
    return answered
  }

  /** Moves a buffer to a thread and back. */
  async touch(buffer: ArrayBuffer): Promise<ArrayBuffer> {
    const [worker] = this.#workers
    if (worker === undefined) throw new Error('no thread')
    return new Promise((resolve) => {
      worker.once('message', ([[, value]]: [[number, ArrayBuffer]]) => resolve(value))
      worker.postMessage([[0, 'touch', buffer]] satisfies Batch, [buffer])
    })
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }
}
