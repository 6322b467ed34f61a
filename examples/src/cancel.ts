/** Cancelling goes down to all that a run submitted; its body may tidy up within its grace. */
import { currentTaskRun, flow, task, type Transition } from '@troupe/core'
import { once } from 'node:events'
import { filter, firstValueFrom, skip } from 'rxjs'

const upload = task('upload', async (file: string): Promise<string> => {
  const { signal } = currentTaskRun()
  console.log(`uploading ${file}`)
  await once(signal, 'abort')
  console.log(`stopped uploading ${file}`)
  throw signal.reason
})

const publish = task('publish', (files: string[]) => console.log(`published ${files.join()}`))

const removeDraft = task('remove-draft', () => console.log('removed the draft'))

const release = flow({ name: 'release', grace: '5s' }, async (files: string[]) => {
  try {
    // It waits for the uploads, so its body never begins.
    await publish(upload.map(files))
  } finally {
    // While a run is being cancelled, only such calls are taken.
    await removeDraft.with({ cleanup: true })()
  }
})

const run = release.with({ id: 'release-7' })(['a', 'b'])
const begun = filter(({ task: name, to }: Transition) => name === 'upload' && to.name === 'Running')
await firstValueFrom(run.transitions.pipe(begun, skip(1))) // both uploads are running

const { name, message } = await run.cancel('changed our minds')
console.log(`${name}: ${message}`)

// Output:
// uploading a
// uploading b
// stopped uploading a
// stopped uploading b
// removed the draft
// Cancelled: flow run release (release-7) was cancelled: changed our minds
