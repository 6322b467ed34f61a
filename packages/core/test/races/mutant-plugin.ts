import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vitest/config'
import { mutants as mutantsOfClusters } from '../../../runners/test/simulation/mutants.ts'
import { mutants as mutantsOfRaces } from './mutants.ts'

const packages = fileURLToPath(new URL('../../../', import.meta.url))
const sources = ['core/src/', 'runners/src/'].map((folder) => `${packages}${folder}`)
const mutants = [...mutantsOfRaces, ...mutantsOfClusters]
const query = /\?mutant=([\w-]+)$/

/**
 * Lets tests import a copy of the engine with a fault in it: `import('@troupe/core?mutant=late-result')`. The query goes on to
 * all modules of core and runners that the copy imports, so that it shares none of them with the engine as it is.
 */
export function mutantPlugin(): Plugin {
  return {
    name: 'troupe-mutants',
    enforce: 'pre',
    async resolveId(id, importer) {
      const name = query.exec(id)?.[1] ?? query.exec(importer ?? '')?.[1]
      if (name === undefined) return undefined
      const from = importer?.replace(query, '')
      const resolved = await this.resolve(id.replace(query, ''), from, { skipSelf: true })
      return resolved !== null && sources.some((source) => resolved.id.startsWith(source))
        ? { ...resolved, id: `${resolved.id}?mutant=${name}` }
        : resolved
    },
    async load(id) {
      const name = query.exec(id)?.[1]
      if (name === undefined) return undefined
      const path = id.replace(query, '')
      return mutate(name, path.slice(packages.length), await readFile(path, 'utf8'))
    },
  }
}

function mutate(name: string, file: string, text: string): string {
  const mutant = mutants.find((one) => one.name === name)
  if (mutant === undefined) throw new RangeError(`there is no mutant ${name}`)
  if (mutant.file !== file) return text
  const [before, after, ...more] = text.split(mutant.find)
  if (before === undefined || after === undefined || more.length > 0)
    throw new RangeError(`mutant ${name}: its text is not exactly once in ${file}`)
  return `${before}${mutant.replace}${after}`
}
