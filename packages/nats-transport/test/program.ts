/** Programs of processes that tests start: they run what is built of the packages, and only their own part is made here. */
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type PluginBuild } from 'esbuild'

/**
 * @param entry - The program's own file.
 * @param outfile - In a folder of `dist` of this package, so that it finds what it depends on.
 */
export async function buildProgram(entry: URL, outfile: string): Promise<string> {
  await build({
    entryPoints: [fileURLToPath(entry)],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
    plugins: [{ name: 'what is built', setup: takesBuilt }],
  })
  return outfile
}

/** Also what only tests import of this package is taken as it is built: its threads are found from there. */
function takesBuilt(made: PluginBuild): void {
  made.onResolve({ filter: /\/src\/[^/]+\.ts$/ }, ({ path }) => ({
    path: `../${basename(path, '.ts')}.js`,
    external: true,
  }))
}
