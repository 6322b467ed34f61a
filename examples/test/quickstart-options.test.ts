import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { UsageError, parseOptions } from '../src/quickstart/options.ts'

const runners = ['sequential', 'concurrent']

describe('parseOptions', () => {
  it('has defaults for everything', () => {
    expect(parseOptions([], runners)).toMatchObject({ runner: 'concurrent', help: false })
  })

  it('takes a runner and a file', () => {
    const out = join(tmpdir(), 'report.html')
    expect(parseOptions(['--runner', 'sequential', '--out', out], runners)).toEqual({
      runner: 'sequential',
      out,
      help: false,
    })
  })

  it('skips the dashes that npm needs before options', () => {
    expect(parseOptions(['--', '--runner', 'sequential'], runners)).toMatchObject({ runner: 'sequential' })
  })

  it.each([
    [['--runer', 'sequential'], "Unknown option '--runer'"],
    [['--runner', 'threads'], "--runner must be sequential or concurrent, not 'threads'"],
    [['--out'], "Option '--out <value>' argument missing"],
    [['--out', tmpdir()], `--out must name a file, not '${tmpdir()}'`],
    [
      ['--out', join(tmpdir(), 'no', 'such', 'r.html')],
      `--out: there is no folder '${join(tmpdir(), 'no', 'such')}'`,
    ],
    [['report.html'], "Unexpected argument 'report.html'"],
  ])('refuses %j in one line', (args, message) => {
    expect(() => parseOptions(args, runners)).toThrow(new UsageError(message))
  })
})
