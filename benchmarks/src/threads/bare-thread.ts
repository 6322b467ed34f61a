import { parentPort } from 'node:worker_threads'
import { work } from './work.ts'

export type Batch = readonly (readonly [
  id: number,
  name: keyof typeof work,
  argument: number | ArrayBuffer,
])[]

/** The least that a thread can do: batches in, batches out. */
parentPort?.on('message', (batch: Batch) => {
  const buffers: ArrayBuffer[] = []
  const answers = batch.map(([id, name, argument]) => {
    const value = work[name](argument as never)
    if (value instanceof ArrayBuffer) buffers.push(value)
    return [id, value] as const
  })
  parentPort?.postMessage(answers, buffers)
})
