import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { benchmarks } from '../src/benchmarks.ts'
import { readOptions } from '../src/lib/options.ts'
import { asksForHelp, chosenOf, usage } from '../src/lib/usage.ts'

const chosen = (...args: readonly string[]): readonly string[] =>
  chosenOf(benchmarks, readOptions(args)).map(({ name }) => name)

describe('a command line', () => {
  it.each([
    [['nothing'], /^no benchmark nothing; there are bare, overhead, .*ratios$/],
    [['--rouns', '3'], /^Unknown option '--rouns'$/],
    [['--only'], /argument missing$/],
    [['--rounds', '0'], /^--rounds takes a number from 1$/],
    [['commits'], /^commits takes --against <commit>$/],
    [['commits', '--against', 'nowhere'], /^no commit nowhere in this repository$/],
  ])('that asks for what is not there is told so: %j', (args, message) => {
    expect(() => chosen(...args)).toThrow(message)
    expect(() => chosen(...args)).toThrow(expect.objectContaining({ name: 'UsageError' }))
  })

  it('with a word that no title has is told the titles', () => {
    expect(() => chosen('overhead', '--only', 'chian')).toThrow(
      /^no group has "chian" in its title; there are\n {2}chain of 10000\n/,
    )
  })

  it('with a word has only benchmarks with such a group', () => {
    expect(chosen('--only', 'chain of 10000')).toEqual(['overhead', 'sizes'])
  })

  it('without names has all but those by name only', () => {
    expect(chosen()).toContain('peers')
    expect(chosen()).not.toContain('commits')
  })

  it('may ask for help, which names all benchmarks and options', () => {
    expect(asksForHelp(['overhead', '--help'])).toBe(true)
    expect(asksForHelp(['overhead'])).toBe(false)
    for (const { name } of benchmarks) expect(usage(benchmarks)).toContain(`\n  ${name} `)
    const { names: _names, warmupMs: _warmup, windowMs: _window, ...options } = readOptions([])
    for (const name of Object.keys(options)) expect(usage(benchmarks)).toContain(`--${name} `)
  })
})

describe('a measurement that is interrupted', () => {
  it('takes its temporary folder with it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'troupe-interrupted-'))
    const module = fileURLToPath(new URL('../dist/lib/signals.js', import.meta.url))
    const temporary = fileURLToPath(new URL('../dist/lib/temporary.js', import.meta.url))
    const script = `
      import { endOnSignals } from ${JSON.stringify(module)}
      import { temporaryFolder } from ${JSON.stringify(temporary)}
      endOnSignals()
      temporaryFolder()
      process.stdin.resume()
      console.log('made')`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    await once(createInterface(child.stdout), 'line')
    expect(readdirSync(folder)).toHaveLength(1)
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([130, null])
    expect(readdirSync(folder)).toEqual([])
    rmSync(folder, { recursive: true })
  })
})
