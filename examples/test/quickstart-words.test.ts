import { describe, expect, it } from 'vitest'

import { wrapped } from '../src/quickstart/words.ts'

describe('wrapped', () => {
  it('breaks lines between words only', () => {
    expect(wrapped('Concurrent is not parallel', 13)).toEqual(['Concurrent is', 'not parallel'])
    expect(wrapped('Concurrent is not parallel', 5)).toEqual(['Concurrent', 'is', 'not', 'parallel'])
    expect(wrapped('one line', 80)).toEqual(['one line'])
  })
})
