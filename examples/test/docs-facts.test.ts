/** What the documentation says of the code is so: lists are complete, links and paths lead somewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { describe, expect, it } from 'vitest'
import { optionNames } from '../../packages/core/src/definitions/compile.ts'
import { statesPage } from '../../scripts/state-diagram.ts'
import { allPages, pages, root } from './docs-pages.ts'

const all = pages()
const everywhere = allPages()
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Names by which links lead to the headings of a page, made as GitHub makes them. */
function sectionsOf(text: string): string[] {
  const headings = text.replace(/^```.*?^```/gms, '').matchAll(/^#+ (.+)$/gm)
  return [...headings].map(([, heading = '']) =>
    heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  )
}

describe('the documentation', () => {
  it('shows the states and edges of the machines', () => {
    expect(read('docs/states.md'), 'run `pnpm exec tsx scripts/state-diagram.ts`').toBe(statesPage())
  })

  it('explains every error code, and no other', () => {
    const [, union = ''] =
      /export type ErrorCode =(.*?)\n\n/s.exec(read('packages/core/src/base/errors.ts')) ?? []
    const codes = [...union.matchAll(/'([A-Z_]+)'/g)].map(([, code]) => code)
    const explained = [...read('docs/errors.md').matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code)
    expect(codes.length).toBeGreaterThan(30)
    expect(new Set(explained)).toEqual(new Set(codes))
    expect(explained).toHaveLength(codes.length)
  })

  it('says which error codes are reserved, and those are not raised', () => {
    const reserved = [...read('docs/errors.md').matchAll(/^\| `([A-Z_]+)` \| reserved/gm)].map(
      ([, code]) => code,
    )
    const src = join(root, 'packages/core/src')
    const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.endsWith('.ts') && !/^(testing|base\/errors)/.test(file),
    )
    const code = files.map((file) => readFileSync(join(src, file), 'utf8')).join('\n')
    expect(reserved.filter((name) => code.includes(`'${name}'`))).toEqual([])
  })

  it('has every option of flows, tasks, calls and engines in its table, and no other', () => {
    const rows = [...read('docs/options.md').matchAll(/^\| `(\w+)` +\| ([\w ]+?) +\|/gm)]
    const of = (...kinds: string[]): string[] =>
      rows.flatMap(([, name = '', kind = '']) => (kinds.includes(kind) ? [name] : [])).toSorted()
    const [, engineOptions = ''] =
      /export interface EngineOptions \{(.*?)\n\}/s.exec(
        read('packages/core/src/engine/engine-options.ts'),
      ) ?? []
    const engine = [...engineOptions.matchAll(/readonly (\w+)\?:/g)].map(([, name = '']) => name)
    expect(engine.length).toBeGreaterThan(5)
    expect(of('both', 'tasks', 'calls')).toEqual(optionNames('task').toSorted())
    expect(of('both', 'flows', 'calls', 'calls of flows')).toEqual(optionNames('flow').toSorted())
    expect(of('engines')).toEqual(engine.toSorted())
  })

  it('has every option of natsTransport in its table, and no other', () => {
    const [, options = ''] =
      /export interface NatsTransportOptions \{(.*?)\n\}/s.exec(
        read('packages/nats-transport/src/options.ts'),
      ) ?? []
    const names = [...options.matchAll(/readonly (\w+)\?:/g)].map(([, name = '']) => name)
    const [, table = ''] = /\n## Options\n(.*?)\n## /s.exec(read('docs/nats.md')) ?? []
    const rows = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(10)
    expect(rows.toSorted()).toEqual(names.toSorted())
  })

  it.each([
    {
      name: 'TransitionResponseOptions',
      file: 'transition-response.ts',
      of: 'transitionResponse',
      page: 'docs/web.md',
      section: 'Options',
    },
    {
      name: 'WebhookOptions',
      file: 'webhooks/options.ts',
      of: 'webhooks',
      page: 'docs/webhooks.md',
      section: 'Options',
    },
    {
      name: 'WebhookEndpoint',
      file: 'webhooks/options.ts',
      of: 'endpoints',
      page: 'docs/webhooks.md',
      section: 'Endpoints',
    },
  ])('has every option of $name in its tables, and no other', ({ name, file, of, page, section }) => {
    const [, body = ''] =
      new RegExp(`export interface ${name} \\{(.*?)\\n\\}`, 's').exec(read(`packages/web/src/${file}`)) ?? []
    const names = [...body.matchAll(/readonly (\w+)\??:/g)].map(([, option = '']) => option).toSorted()
    const [, table = ''] = new RegExp(`\n## ${section}\n(.*?)(?=\n## |$(?![^]))`, 's').exec(read(page)) ?? []
    const inGuide = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, option = '']) => option)
    const all = [...read('docs/options.md').matchAll(/^\| `(\w+)` \| `?(\w+)`? \|/gm)]
    const inOptions = all.flatMap(([, option = '', kind]) => (kind === of ? [option] : []))
    expect(names.length).toBeGreaterThan(5)
    expect(inGuide.toSorted()).toEqual(names)
    expect(inOptions.toSorted()).toEqual(names)
  })

  it.each([
    ['docs/options.md', /^\| `(\w+)` \| `WorkerThreadsTaskRunner` \|/gm],
    ['docs/threads.md', /^\| `(\w+)` \|/gm],
  ])('has every option of the runner on threads in the table of %s, and no other', (page, row) => {
    const [, options = ''] =
      /export interface WorkerThreadsTaskRunnerOptions \{(.*?)\n\}/s.exec(
        read('packages/runners/src/worker-threads/options.ts'),
      ) ?? []
    const names = [...options.matchAll(/readonly (\w+)\?:/g)].map(([, name = '']) => name)
    const [, section = ''] = /^## (?:Options|Task runners)$(.*?)(?=^## |(?![^]))/ms.exec(read(page)) ?? []
    expect(names.length).toBeGreaterThan(5)
    expect([...section.matchAll(row)].map(([, name]) => name)).toEqual(names)
  })

  it.each(['docs/options.md', 'docs/threads.md'])('has the defaults of the runner on threads: %s', (page) => {
    const code = read('packages/runners/src/worker-threads/options.ts')
    const numbers = [...code.matchAll(/count\(options, '(\w+)'.*\) \?\? (\d+),/g)].map(([, name, value]) => [
      name,
      value,
    ])
    const durations = [...code.matchAll(/options\.(\w+) \?\? ('\w+')/g)].map(([, name, value]) => [
      name,
      `\`${value}\``,
    ])
    expect(numbers.length + durations.length).toBeGreaterThan(4)
    const rows = read(page)
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()))
    const missing = [...numbers, ...durations].filter(
      ([name, value = '']) => !rows.some((cells) => cells[1] === `\`${name}\`` && cells.includes(value)),
    )
    expect(missing).toEqual([])
  })

  it('explains in the guide to threads why a thread refuses a task', () => {
    const guide = read('docs/threads.md')
    const [, codes = ''] =
      /interface Refusal \{\s*readonly code: (.*?)\n/s.exec(
        read('packages/runners/src/worker-threads/wires.ts'),
      ) ?? []
    const named = [...codes.matchAll(/'([A-Z_]+)'/g)].map(([, code = '']) => code)
    expect(named).toHaveLength(3)
    expect(named.filter((code) => !guide.includes(`| \`${code}\` |`))).toEqual([])
  })

  it.each(everywhere)('has no dead links: $path', ({ path, text }) => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
    const local = links.filter((link) => !/^(https?:|#)/.test(link))
    const dead = local.filter((link) => !existsSync(join(root, dirname(path), link.replace(/#.*/, ''))))
    expect(dead).toEqual([])
  })

  it('lists every guide, once', () => {
    const listed = [...read('docs/README.md').matchAll(/^\| \[[^\]]+\]\(([\w-]+\.md)\)/gm)].map(
      ([, file = '']) => file,
    )
    const guides = readdirSync(join(root, 'docs')).filter(
      (file) => file.endsWith('.md') && file !== 'README.md',
    )
    expect(guides.length).toBeGreaterThan(30)
    expect(listed.toSorted()).toEqual(guides.toSorted())
  })

  it('lists every decision by its number, with its title', () => {
    const files = readdirSync(join(root, 'docs/decisions')).filter((file) => /^\d{4}-/.test(file))
    const titles = files.toSorted().map((file) => {
      const [, number, title] = /^# (\d{4}): (.*)$/m.exec(read(`docs/decisions/${file}`)) ?? []
      expect(file).toMatch(new RegExp(`^${number}-`))
      return `| [${number}](${file}) | ${title} |`
    })
    const listed = read('docs/decisions/README.md').match(/^\| \[.*$/gm) ?? []
    expect(titles.length).toBeGreaterThan(50)
    expect(listed).toEqual(titles)
  })

  it.each(everywhere)('has no links to sections that are not there: $path', ({ path, text }) => {
    const links = [...text.matchAll(/\]\(([^)\s#]*)#([^)\s]+)\)/g)].filter(
      ([, file = '']) => !/^https?:/.test(file),
    )
    const dead = links.filter(([, file = '', section = '']) => {
      const target = file === '' ? path : join(dirname(path), file)
      return target.endsWith('.md') && !sectionsOf(read(target)).includes(section)
    })
    expect(dead.map(([link]) => link)).toEqual([])
  })

  it.each(everywhere)('names scripts that are there: $path', ({ text }) => {
    const calls = text.matchAll(/pnpm@12\s(?:-s )?(?:--filter (?:@troupe\/)?([\w-]+) )?(?:run )?([\w:-]+)/g)
    const missing = [...calls].filter(([, name, script = '']) => {
      const homes = ['.', name, `packages/${name}`].map((folder) => join(root, folder ?? '.', 'package.json'))
      const home = name === undefined ? homes[0] : homes.slice(1).find(existsSync)
      if (script === 'exec') return false
      if (home === undefined) return true
      const { scripts = {} } = JSON.parse(readFileSync(home, 'utf8')) as { scripts?: Record<string, string> }
      return !(script in scripts)
    })
    expect(missing.map(([call]) => call)).toEqual([])
  })

  it.each(all)('names files that are there: $path', ({ path, text }) => {
    const files = [...text.matchAll(/`((?:[\w.-]+\/)+[\w.-]+\.(?:ts|mjs|md|json))`/g)].map(
      ([, file = '']) => file,
    )
    const sources = ['core', 'runners', 'sqlite-journal', 'nats-transport', 'nats-server', 'web'].map(
      (name) => `packages/${name}/src/`,
    )
    const homes = ['', 'packages/core/', ...sources, dirname(path)]
    const missing = files.filter((file) => !homes.some((home) => existsSync(join(root, home, file))))
    expect(missing).toEqual([])
  })

  it.each(all)('runs the TypeScript that it shows: $path', ({ path, text }) => {
    const others = [...text.matchAll(/^```(\w+)(.*)$/gm)].filter(
      ([, language, rest]) => language === 'ts' && rest !== ' run',
    )
    expect(path.startsWith('docs/decisions/') ? [] : others.map(([line]) => line)).toEqual([])
  })
})
