import { work } from './work.ts'

export default ({ name, argument }: { name: keyof typeof work; argument: number }): unknown =>
  work[name](argument as never)
