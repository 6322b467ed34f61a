/** Prints what docs/scale.md has of stored results; with `--write` puts it there. */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { withParts } from './marked.ts'
import { parts, stored } from './report.ts'

const page = new URL('../../../docs/scale.md', import.meta.url)
const { values } = parseArgs({ options: { write: { type: 'boolean', default: false } } })

const made = parts(stored())
for (const [name, part] of Object.entries(made)) process.stdout.write(`\n# ${name}\n\n${part}\n`)
if (values.write) writeFileSync(page, withParts(readFileSync(page, 'utf8'), made))
