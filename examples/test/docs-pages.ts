/** The pages of the documentation, and what is found in them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Folder of the repository, with a slash at its end. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** A page, by its path from the root. */
export interface Page {
  readonly path: string
  readonly text: string
}

/** A code block that says it can be run: it begins with ` ```ts run `. */
export interface Program {
  readonly page: string
  /** Line of its first line in the page, from 1. */
  readonly line: number
  readonly source: string
}

/** All pages. */
export function pages(): Page[] {
  const inDocs = readdirSync(`${root}docs`, { recursive: true, encoding: 'utf8' })
  const paths = [
    'README.md',
    'ARCHITECTURE.md',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'packages/core/README.md',
    ...inDocs.filter((path) => path.endsWith('.md')).map((path) => `docs/${path}`),
  ]
  return paths.map((path) => ({ path, text: readFileSync(`${root}${path}`, 'utf8') }))
}

/** The pages, and all else that people read in folders of their own: there, blocks of code need not run. */
export function allPages(): Page[] {
  const names = readdirSync(`${root}packages`).map((name) => `packages/${name}/README.md`)
  const readmes = [...names, 'benchmarks/README.md', 'benchmarks/src/bare/README.md']
  const known = pages()
  const others = readmes.filter(
    (path) => existsSync(`${root}${path}`) && !known.some((page) => page.path === path),
  )
  return [...known, ...others.map((path) => ({ path, text: readFileSync(`${root}${path}`, 'utf8') }))]
}

/** The programs of a page. */
export function programsOf({ path, text }: Page): Program[] {
  return [...text.matchAll(/^```ts run\n(.*?)^```$/gms)].map(({ index, 1: source = '' }) => ({
    page: path,
    line: text.slice(0, index).split('\n').length + 1,
    source,
  }))
}
