/** Programs as a bundler makes them of a user's: with the library inside, alone in an empty folder. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { build } from 'esbuild'
import { afterAll } from 'vitest'
import { Project } from './support.ts'

export interface BundleOptions {
  readonly format?: 'esm' | 'cjs'
  readonly minify?: boolean
  readonly splitting?: boolean
  readonly sourcemap?: boolean
  /** What is left out, and loaded from where the bundle lies. */
  readonly external?: readonly string[]
}

const home = realpathSync(mkdtempSync(join(tmpdir(), 'troupe-bundles-')))
afterAll(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }))
let count = 0

/**
 * Bundles `main.js` and what it imports, to `main.mjs` or `main.cjs`.
 *
 * @param folder - Where it lies; default alone.
 */
export async function bundle(
  source: Project,
  { format = 'esm', external = [], ...options }: BundleOptions,
  folder = join(home, String(++count)),
): Promise<Project> {
  await build({
    ...options,
    absWorkingDir: source.folder,
    entryPoints: ['main.js'],
    outdir: folder,
    outExtension: { '.js': format === 'esm' ? '.mjs' : '.cjs' },
    bundle: true,
    external: [...external],
    format,
    logLevel: 'error',
    platform: 'node',
    target: 'node20',
  })
  return new Project(folder, {})
}
