/** Every example prints what the comment at its end says. They run as people run them: built, each in a process. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { describe, expect, it } from 'vitest'
import { expectedOutput, outputOf } from './support.ts'

const folder = fileURLToPath(new URL('../src/', import.meta.url))
const names = readdirSync(folder).filter((name) => name.endsWith('.ts'))

describe('the examples', () => {
  it('are there', () => {
    expect(names.length).toBeGreaterThanOrEqual(8)
  })

  it.concurrent.each(names)('%s prints what it says', async (name) => {
    const source = readFileSync(`${folder}${name}`, 'utf8')
    const built = fileURLToPath(new URL(`../dist/${name.replace(/ts$/, 'js')}`, import.meta.url))
    expect(await outputOf(built)).toBe(expectedOutput(source))
  })

  it.each(names)('%s is at most 60 lines long', (name) => {
    expect(readFileSync(`${folder}${name}`, 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(60)
  })
})
