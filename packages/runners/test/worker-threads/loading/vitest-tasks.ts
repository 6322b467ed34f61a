/** A task for a test in TypeScript. */
import { isMainThread } from 'node:worker_threads'

import { task } from '@troupe/core'

export const add = task('add', (a: number, b: number) => ({ sum: a + b, isMainThread }))
