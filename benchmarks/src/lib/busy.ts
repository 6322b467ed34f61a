import { Worker } from 'node:worker_threads'

/** Computes without end, over more memory than a core keeps close to itself. */
const program = `
const words = new Uint32Array(2 ** 24)
for (let i = 0, x = 1; ; i++) {
  x = Math.imul(x ^ (x >>> 13), 0x5bd1e995) >>> 0
  words[x % words.length] += i
}
`

/** Keeps so many cores busy while something is done: threads, which end with this process however it ends. */
export async function besideLoad<T>(threads: number, work: () => Promise<T>): Promise<T> {
  const workers = Array.from({ length: threads }, () => new Worker(program, { eval: true }))
  try {
    return await work()
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}
