/** Entry of `pnpm --filter @troupe/benchmarks readme`: writes the tables of README.md and of benchmarks/README.md anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { benchmarks } from './benchmarks.ts'
import { checkTable, targetsTable } from './lib/check-tables.ts'
import { rows } from './lib/readme-rows.ts'
import { speedTable, withTable } from './lib/readme-table.ts'
import { readResults } from './lib/results.ts'

const front = new URL('../../README.md', import.meta.url)
const own = new URL('../README.md', import.meta.url)
/** The main runtime's, whatever runs this. */
const read = (name: string) => readResults(name, '20')
const sources = { benchmarks, read }
writeFileSync(front, withTable(readFileSync(front, 'utf8'), speedTable(rows, sources)))
const checked = withTable(readFileSync(own, 'utf8'), checkTable(rows, sources), 'rows')
writeFileSync(own, withTable(checked, targetsTable(sources), 'targets'))
