import { describe, expect, it } from 'vitest'
import { Values } from '../src/nats/values.ts'

describe('values of jobs', () => {
  it('go to whoever waits for that job, whichever comes first', async () => {
    const values = new Values()
    const first = values.expect('1')
    values.came('2', 20)
    values.came('1', 10)
    expect(values.surplus).toBe(1)
    expect(await Promise.all([first, values.expect('2')])).toEqual([10, 20])
    expect(values.surplus).toBe(0)
  })

  it('fail the measurement where the job has failed, whichever comes first', async () => {
    const values = new Values()
    const first = values.expect('1')
    values.failed('1', 'out of luck')
    values.failed('2', 'nor here')
    await expect(first).rejects.toThrow('job 1 has failed: out of luck')
    await expect(values.expect('2')).rejects.toThrow('job 2 has failed: nor here')
  })

  it('are counted where one comes twice', async () => {
    const values = new Values()
    const value = values.expect('1')
    values.came('1', 10)
    values.came('1', 10)
    expect(await value).toBe(10)
    expect(values.surplus).toBe(1)
  })

  it('fail it where one is lost, but not while others come', async () => {
    const values = new Values()
    const [first, second] = [values.expect('1'), values.expect('2')]
    values.giveUpWhereNoneMoved()
    values.came('1', 10)
    values.giveUpWhereNoneMoved()
    values.giveUpWhereNoneMoved()
    expect(await first).toBe(10)
    await expect(second).rejects.toThrow('the value of job 2 was lost')
  })
})
