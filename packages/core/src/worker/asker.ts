import type { Clock } from '../ports/clock.ts'
import {
  packQuestion,
  unpackAnswer,
  type Address,
  type AttemptName,
  type Verdict,
} from '../remote/node-talk.ts'

const answerMs = 2_000

interface AskerHost {
  readonly node: string
  readonly clock: Clock
  ask(node: string, topic: string, question: Uint8Array, withinMs: number): Promise<Uint8Array | undefined>
  report(error: unknown): void
}

interface Batch {
  readonly address: Address
  readonly asked: { readonly run: AttemptName; readonly answered: (verdict: Verdict | undefined) => void }[]
}

/** Asks owners whether bodies may begin; what is asked in one turn goes as one question. */
export class Asker {
  readonly #host: AskerHost
  readonly #session: string
  readonly #batches = new Map<string, Batch>()

  constructor(host: AskerHost, session: string) {
    this.#host = host
    this.#session = session
  }

  /** Resolves with undefined where no answer came. */
  mayBegin(address: Address, run: AttemptName): Promise<Verdict | undefined> {
    const key = `${address.node}\u0000${address.topic}`
    let batch = this.#batches.get(key)
    if (batch === undefined) {
      batch = { address, asked: [] }
      this.#batches.set(key, batch)
      this.#host.clock.turn(() => {
        const whole = this.#batches.get(key)
        this.#batches.delete(key)
        if (whole !== undefined) void this.#ask(whole)
      })
    }
    const { asked } = batch
    return new Promise((answered) => void asked.push({ run, answered }))
  }

  async #ask({ address, asked }: Batch): Promise<void> {
    let verdicts: readonly (Verdict | undefined)[] = []
    try {
      const { node } = this.#host
      const runs = asked.map(({ run }) => run)
      const question = packQuestion({ ask: 'may begin', node, session: this.#session, runs })
      const answer = await this.#host.ask(address.node, address.topic, question, answerMs)
      if (answer !== undefined) verdicts = unpackAnswer(answer) as readonly Verdict[]
    } catch (error) {
      this.#host.report(error)
    }
    for (const [index, { answered }] of asked.entries()) answered(verdicts[index])
  }
}
