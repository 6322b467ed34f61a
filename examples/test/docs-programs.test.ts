/** The programs in the documentation compile, and print what the comments at their ends say. */
import { execFile } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'

import { startServer, type NatsServer } from '@troupe/nats-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pages, programsOf, root, type Program } from './docs-pages.ts'
import { expectedOutput } from './support.ts'

/** Within examples, so that the packages are found as in a program of a user. */
const folder = fileURLToPath(new URL('../dist/docs/', import.meta.url))

const programs = pages().flatMap(programsOf)

const nameOf = ({ page, line }: Program): string => `${page.replace(/\W/g, '-')}-${line}`

const settings = {
  extends: '../../../tsconfig.base.json',
  compilerOptions: {
    composite: false,
    declaration: false,
    declarationMap: false,
    sourceMap: false,
    customConditions: [],
    noUnusedLocals: false,
    rootDir: '.',
    outDir: '.',
    tsBuildInfoFile: null,
  },
  include: ['*.ts'],
  // Left out, it would be the output folder, which is this one.
  exclude: [],
}

/** Compiles them all at once. What is wrong is said with the page's name and line. */
async function compile(): Promise<string> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}tsconfig.json`, JSON.stringify(settings))
  for (const program of programs) {
    const padding = '\n'.repeat(program.line - 1)
    writeFileSync(`${folder}${nameOf(program)}.ts`, `${padding}${program.source}\nexport {}\n`)
  }
  const tsc = [`${root}node_modules/typescript/bin/tsc`, '-p', folder]
  const ended = await promisify(execFile)(process.execPath, tsc, { cwd: folder }).catch(
    (error: unknown) => error as { stdout: string },
  )
  return ended.stdout
}

/** What it prints. Each runs in a thread with globals of its own, so that none sees the engine of another. */
async function run(program: Program): Promise<string> {
  const file = pathToFileURL(`${folder}${nameOf(program)}.js`)
  // Programs that need a nats-server find one there, as their readers would.
  const env = needsServer(program) ? { ...process.env, NATS_URL: server?.url } : process.env
  const worker = new Worker(file, { stdout: true, stderr: true, execArgv: [], env })
  const ended = new Promise<void>((resolve, reject) => {
    worker.once('error', reject)
    worker.once('exit', () => resolve())
  })
  const [stdout, stderr] = await Promise.all([text(worker.stdout), text(worker.stderr), ended])
  if (stderr !== '') throw new Error(`it wrote to standard error:\n${stderr}`)
  return stdout
}

const needsServer = ({ source }: Program): boolean => source.includes("process.env['NATS_URL']")

let problems = ''
let server: NatsServer | undefined

beforeAll(async () => {
  problems = await compile()
  if (programs.some(needsServer)) server = await startServer()
}, 180_000)

afterAll(() => server?.stop())

describe('the programs in the documentation', () => {
  it('compile', () => {
    expect(problems).toBe('')
  })

  it.concurrent.each(programs.map((program) => [`${program.page}:${program.line}`, program] as const))(
    '%s prints what it says',
    async (_, program) => {
      expect(await run(program)).toBe(expectedOutput(program.source) ?? '')
    },
    // Several run at once, and each loads all that it imports.
    120_000,
  )
})
