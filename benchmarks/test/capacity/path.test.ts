import { describe, expect, it } from 'vitest'
import { fit } from '../../src/capacity/fit.ts'
import { simulate, type Load, type Service } from '../../src/capacity/path.ts'

const cost = { run: 20, message: 5, wake: 30, share: 1 }
const service: Service = { owner: cost, worker: cost, server: { ...cost, run: 0 }, hop: 0 }
const alone: Load = { lanes: 1, measured: 100 }

describe('the path of a task run', () => {
  it('is eleven messages where there is one at a time: an append, an offer, a delivery, a report, an append, an acknowledgement', () => {
    const { owner, worker, server } = simulate(service, alone)
    expect([owner.messages, worker.messages, server.messages]).toEqual([7, 4, 11])
  })

  it('takes longer by what each hop takes, eight of which are on the way', () => {
    const [near, far] = [0, 100].map((hop) => 1e6 / simulate({ ...service, hop }, alone).perSecond)
    // append and answer, offer and delivery, report and news, append and answer.
    expect((far ?? NaN) - (near ?? NaN)).toBeCloseTo(800, 0)
  })

  it('groups: the more are in flight, the fewer messages each takes', () => {
    const messages = [1, 20, 200].map(
      (lanes) => simulate(service, { lanes, measured: 2_000 }).server.messages,
    )
    expect(messages[1]).toBeLessThan((messages[0] ?? NaN) / 5)
    expect(messages[2]).toBeLessThan((messages[1] ?? NaN) / 2)
  })

  it('groups within a flow run only', () => {
    const { server } = simulate(service, { lanes: 1, flowRuns: 200, measured: 2_000 })
    expect(server.messages).toBeCloseTo(11, 0)
  })

  it('carries what comes by chance, as long as it is less than there can be', () => {
    const most = simulate(service, { lanes: 1, flowRuns: 200, measured: 5_000 }).perSecond
    const load = { lanes: 1, length: 5, measured: 5_000 }
    const half = simulate(service, { ...load, arrivals: most / 2 / 5 })
    // 1,000 flow runs by chance: how many come in a time has a standard deviation of 3.2 %.
    expect(Math.abs(half.perSecond / (most / 2) - 1)).toBeLessThan(5 * 0.032)
    const nearly = simulate(service, { ...load, arrivals: (0.95 * most) / 5 })
    expect(nearly.p50).toBeGreaterThan(half.p50)
  })

  it('is the same for the same seed, and another for another', () => {
    const load: Load = { lanes: 1, length: 5, arrivals: 300, measured: 500 }
    expect(simulate(service, { ...load, seed: 7 })).toEqual(simulate(service, { ...load, seed: 7 }))
    expect(simulate(service, { ...load, seed: 7 })).not.toEqual(simulate(service, { ...load, seed: 8 }))
  })
})

describe('the fit', () => {
  const many: Load = { lanes: 1_000, measured: 5_000 }

  it('finds the costs again of which a simulation was made', () => {
    const loads: readonly Load[] = [alone, many, { lanes: 1, flowRuns: 200, measured: 1_000 }]
    const hidden: Service = {
      owner: { run: 90, message: 12, wake: 60, share: 0.8 },
      worker: { run: 12, message: 6, wake: 40, share: 0.9 },
      server: { run: 0, message: 4, wake: 30, share: 1 },
      hop: 15,
    }
    const cpu = loads.map((load) => {
      const { owner, worker, server } = simulate(hidden, load)
      return { load, cpu: { owner: owner.cpu, worker: worker.cpu, server: server.cpu } }
    })
    const found = fit({
      cpu,
      alone: { load: alone, wall: 1e6 / simulate(hidden, alone).perSecond },
      saturated: { point: 1, wall: 1e6 / simulate(hidden, many).perSecond },
      workerShare: 0.9,
    })
    for (const lanes of [20, 200]) {
      const load = { lanes, measured: 2_000 }
      const [was, is] = [simulate(hidden, load), simulate(found, load)]
      expect(is.perSecond / was.perSecond).toBeCloseTo(1, 1)
      expect(is.owner.cpu / was.owner.cpu).toBeCloseTo(1, 1)
    }
    expect(found.owner.share / hidden.owner.share).toBeCloseTo(1, 1)
    expect(found.hop / hidden.hop).toBeCloseTo(1, 0)
  })
})
