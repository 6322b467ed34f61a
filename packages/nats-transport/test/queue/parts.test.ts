import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deliveryFacts, isDelivery } from '../../src/queue/ack-subject.ts'
import { Lane } from '../../src/queue/lane.ts'
import { Sharer } from '../../src/queue/share.ts'
import { LeaseKeeper, Leases } from '../../src/thread/leases.ts'
import { textOf, tokenOf } from '../../src/tokens.ts'

describe('a token', () => {
  const anyText = fc.string({ unit: 'binary', maxLength: 80 })

  it('is legal in subjects, in names of consumers and in headers, and gives back its text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const token = tokenOf(text)
        expect(token).toMatch(/^[\w=-]+$/)
        expect(textOf(token)).toBe(text)
      }),
    )
  })

  it('is another one for another text, also where both are cut', () => {
    fc.assert(
      fc.property(anyText, anyText, fc.constantFrom(64, 200), (one, other, longest) => {
        const [a, b] = [one.repeat(3), other.repeat(3)]
        expect(tokenOf(a, longest) === tokenOf(b, longest)).toBe(a === b)
        expect(tokenOf(a, longest).length).toBeLessThanOrEqual(longest)
      }),
    )
  })

  it('tells lone surrogates apart, and what looks like its own signs', () => {
    const texts = [
      '\uD800',
      '\uD801',
      '\uFFFD',
      '=e',
      '',
      '=20',
      ' ',
      '=u0020',
      `${'x'.repeat(30)}=h${'0'.repeat(32)}`,
    ]
    for (const longest of [64, Infinity]) {
      const tokens = texts.flatMap((text) => [tokenOf(text, longest), tokenOf(text.repeat(40), longest)])
      expect(new Set(tokens).size).toBe(tokens.length - 1)
    }
    for (const text of texts) expect(textOf(tokenOf(text))).toBe(text)
  })

  it('is readable where the text is', () => {
    expect(tokenOf('emails_2-go')).toBe('emails_2-go')
    expect(tokenOf('a.b *')).toBe('a=2Eb=20=2A')
    expect(textOf(tokenOf('word'.repeat(50), 64))).toBeUndefined()
  })
})

describe('the subject of an acknowledgement', () => {
  it('is read in both forms', () => {
    const old = '$JS.ACK.shop_TQ.t-main-n.3.17.21.1795404382625952636.5'
    const newer = '$JS.ACK.hub.Hx7.shop_TQ.t-main-n.3.17.21.1795404382625952636.5.r4nd'
    for (const subject of [old, newer, newer.replace('.r4nd', '')])
      expect(deliveryFacts(subject)).toEqual({
        deliveries: 3,
        seq: 17,
        storedAt: '1795404382625952636',
        pending: 5,
      })
    expect([old, newer].every(isDelivery)).toBe(true)
    expect([undefined, '', '_INBOX.x'].some(isDelivery)).toBe(false)
  })
})

/** Lanes, and a server's part of them. */
class Model {
  readonly lanes = [new Lane(), new Lane(), new Lane()]
  readonly sharer = new Sharer(this.lanes)
  readonly waiting = [0, 0, 0]
  readonly delivered = [0, 0, 0]
  open = 0
  now = 0
  /** Pulls that wait, by lane. */
  readonly pulls: { lane: number; left: number; until: number }[] = []

  constructor() {
    for (const lane of this.lanes) lane.usable = true
  }

  get asked(): number {
    return this.pulls.reduce((sum, { left }) => sum + left, 0)
  }

  share(): void {
    for (const { lane, batch, look } of this.sharer.share({
      open: this.open,
      now: this.now,
      pullMs: 1_000,
    })) {
      this.lanes[lane]?.sent(batch, this.now + 2_000)
      this.pulls.push({ lane, left: batch, until: look ? this.now : this.now + 1_000 })
    }
  }

  /** The server delivers what it can, and ends pulls whose time is over. */
  serve(): number {
    let count = 0
    for (const pull of this.pulls) {
      const waiting = this.waiting[pull.lane] ?? 0
      const sent = Math.min(waiting, pull.left)
      for (let index = 0; index < sent; index++) {
        pull.left--
        this.open--
        this.waiting[pull.lane] = (this.waiting[pull.lane] ?? 0) - 1
        this.delivered[pull.lane] = (this.delivered[pull.lane] ?? 0) + 1
        this.lanes[pull.lane]?.delivered(this.waiting[pull.lane] ?? 0, this.now)
        count++
      }
      if (pull.left > 0 && pull.until <= this.now) {
        this.lanes[pull.lane]?.ended(pull.left, this.now)
        pull.left = 0
      }
    }
    this.pulls.splice(0, this.pulls.length, ...this.pulls.filter(({ left }) => left > 0))
    return count
  }
}

describe('the lanes of a queue', () => {
  it('are never asked for more than is wanted, and in the end get all that is there', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ want: fc.integer({ min: 1, max: 20 }) }),
        fc.record({ offer: fc.integer({ min: 0, max: 2 }), count: fc.integer({ min: 1, max: 30 }) }),
        fc.record({ pass: fc.integer({ min: 1, max: 1_500 }) }),
      ),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(steps, (list) => {
        const model = new Model()
        const turn = (): void => {
          model.share()
          expect(model.asked).toBeLessThanOrEqual(model.open)
          model.serve()
        }
        for (const step of list) {
          if ('want' in step) model.open += step.want
          else if ('offer' in step) model.waiting[step.offer] = (model.waiting[step.offer] ?? 0) + step.count
          else model.now += step.pass
          turn()
        }
        const left = (): number => model.waiting.reduce((sum, count) => sum + count, 0)
        const total = left() + model.delivered.reduce((sum, count) => sum + count, 0)
        model.open += left()
        for (let turns = 0; turns < 200 && left() > 0; turns++) {
          model.now += 100
          turn()
        }
        expect([left(), model.delivered.reduce((sum, count) => sum + count, 0)]).toEqual([0, total])
      }),
    )
  })

  it.each([1, 2, 3, 10])(
    'share %i slots between priorities that all have work: most to the first, some to each',
    (slots) => {
      const model = new Model()
      model.waiting.fill(1_000_000)
      model.open = slots
      for (let turns = 0; turns < 20_000; turns++) {
        model.now += 1
        model.share()
        const served = model.serve()
        model.open += served
      }
      const total = model.delivered.reduce((sum, count) => sum + count, 0)
      const [high = 0, normal = 0, low = 0] = model.delivered.map((count) => count / total)
      expect(total).toBeGreaterThan(1_000)
      expect(high).toBeGreaterThan(0.6)
      expect(normal).toBeGreaterThan(0.04)
      expect(low).toBeGreaterThan(0.02)
    },
  )

  it('give all slots to the only one that has work', () => {
    const model = new Model()
    model.waiting[2] = 1_000
    model.open = 20
    for (let turns = 0; turns < 30; turns++) {
      model.now += 100
      model.share()
      model.serve()
    }
    expect(model.delivered).toEqual([0, 0, 20])
  })

  it('take back what a silent server was asked for', () => {
    const lane = new Lane()
    lane.usable = true
    lane.sent(5, 1_000)
    lane.sent(3, 2_000)
    lane.delivered(0, 10)
    expect(lane.overdue(500)).toBe(0)
    // Of the first five one came: what may still come are the three of the second.
    expect(lane.overdue(1_500)).toBe(4)
    expect(lane.asked).toBe(3)
    expect(lane.overdue(2_500)).toBe(3)
    expect(lane.asked).toBe(0)
  })
})

describe('leases in shared memory', () => {
  function both(): { leases: Leases; keeper: LeaseKeeper } {
    const keeper = new LeaseKeeper()
    return { leases: new Leases((table) => keeper.add(table)), keeper }
  }

  it('are prolonged from the second look on, every other time, until they are released', () => {
    const { leases, keeper } = both()
    const lease = leases.hold('$JS.ACK.a')
    expect([keeper.due(), keeper.due(), keeper.due(), keeper.due()]).toEqual([
      [],
      ['$JS.ACK.a'],
      [],
      ['$JS.ACK.a'],
    ])
    expect(lease.release()).toBe(true)
    const next = leases.hold('$JS.ACK.b')
    expect([keeper.due(), keeper.due()]).toEqual([[], ['$JS.ACK.b']])
    expect(next.release()).toBe(true)
    expect(keeper.all()).toEqual([])
  })

  it('are as many as are wanted', () => {
    const { leases, keeper } = both()
    const subjects = Array.from({ length: 1_000 }, (_, index) => `$JS.ACK.${index}`)
    const held = subjects.map((subject) => leases.hold(subject))
    expect(keeper.all().toSorted()).toEqual(subjects.toSorted())
    for (const lease of held) expect(lease.release()).toBe(true)
    expect(leases.tables.length).toBeGreaterThan(1)
    const tables = leases.tables.length
    for (const lease of subjects.map((subject) => leases.hold(subject))) lease.release()
    expect(leases.tables.length).toBe(tables)
  })

  it('are not their holder’s any more when the other side has let go', () => {
    const { leases, keeper } = both()
    const [one, other] = [leases.hold('a'), leases.hold('b')]
    expect(one.release()).toBe(true)
    keeper.lose()
    expect(keeper.all()).toEqual([])
    expect(other.release()).toBe(false)
    expect(leases.hold('c').release()).toBe(true)
  })
})
