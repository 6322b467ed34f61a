// Removes everything that `tsc -b` made, leftovers of deleted sources too.
import { readdirSync, rmSync } from 'node:fs'

const root = new URL('../', import.meta.url)
const packages = readdirSync(new URL('packages/', root)).map((name) => `packages/${name}`)
for (const folder of [...packages, 'examples', 'benchmarks']) {
  rmSync(new URL(`${folder}/dist`, root), { recursive: true, force: true })
}
rmSync(new URL('node_modules/.cache/scripts.tsbuildinfo', root), { force: true })
