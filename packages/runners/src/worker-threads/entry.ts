/** What a thread loads first. */
import { startThread } from './thread.ts'

startThread()
