import { describe, expect, it } from 'vitest'
import { hashOfBare } from '../src/lib/surroundings.ts'

describe('the bare loops', () => {
  it('are frozen: see src/bare/README.md before you change this hash', () => {
    expect(hashOfBare()).toBe('9153be838e177100')
  })
})
