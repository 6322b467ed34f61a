import type { ClusterNodes } from '../ports/nodes.ts'

type Answerer = (question: Uint8Array) => Promise<Uint8Array>

/** Questions between nodes, told apart by what they are about: one byte with the length of that text, the text, the question. */
export class Questions {
  readonly #nodes: ClusterNodes
  readonly #answerers = new Map<string, Answerer>()
  readonly #stop: () => void

  /** @param node - The node that answers: this engine. */
  constructor(nodes: ClusterNodes, node: string) {
    this.#nodes = nodes
    this.#stop = nodes.answer(node, (question) => this.#answer(question))
  }

  async #answer(question: Uint8Array): Promise<Uint8Array> {
    const length = question[0] ?? 0
    const topic = Buffer.from(question.subarray(1, 1 + length)).toString()
    const answerer = this.#answerers.get(topic)
    // Whoever asks gets no answer, as where the node is not there.
    if (answerer === undefined) return new Promise(() => undefined)
    return answerer(question.subarray(1 + length))
  }

  answer(topic: string, answerer: Answerer): () => void {
    this.#answerers.set(topic, answerer)
    return () => {
      if (this.#answerers.get(topic) === answerer) this.#answerers.delete(topic)
    }
  }

  ask(node: string, topic: string, question: Uint8Array, withinMs: number): Promise<Uint8Array | undefined> {
    const words = Buffer.from(topic)
    const bytes = new Uint8Array(1 + words.length + question.length)
    bytes[0] = words.length
    bytes.set(words, 1)
    bytes.set(question, 1 + words.length)
    return this.#nodes.ask(node, bytes, withinMs)
  }

  close(): void {
    this.#stop()
    this.#answerers.clear()
  }
}
