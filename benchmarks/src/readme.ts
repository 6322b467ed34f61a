/** Entry of `pnpm --filter @troupe/benchmarks readme`: writes the table of README.md anew from the results that are kept. */
import { readFileSync, writeFileSync } from 'node:fs'
import { benchmarks } from './benchmarks.ts'
import { rows } from './lib/readme-rows.ts'
import { speedTable, withTable } from './lib/readme-table.ts'
import { readResults } from './lib/results.ts'

const file = new URL('../../README.md', import.meta.url)
/** The main runtime's, whatever runs this. */
const read = (name: string) => readResults(name, '20')
writeFileSync(file, withTable(readFileSync(file, 'utf8'), speedTable(rows, { benchmarks, read })))
