/**
 * The documentation is held to the code: its programs compile and print what they say, its links lead somewhere, and what
 * is listed from the code is complete.
 *
 * A block that begins with ` ```ts run ` is a program; what it prints stands in the comment at its end.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'

import { beforeAll, describe, expect, it } from 'vitest'
import { statesPage } from '../../scripts/state-diagram.ts'
import { expectedOutput } from './support.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
