/** What everything of a namespace is called on the servers. */
export interface Names {
  /** Journals: one subject for each flow run. */
  readonly journal: { readonly stream: string; readonly subjects: string; readonly live: string }
  /** Bucket of the register, a key-value store, and the stream and subjects it is made of. */
  readonly register: Bucket
  /** Bucket of cached results. */
  readonly cache: Bucket
  /** Bucket of large values, an object store. */
  readonly blobs: string
  /** Transitions for readers other than Troupe, and the stream that keeps them where one does. The number is that of the schema. */
  readonly published: { readonly stream: string; readonly subjects: string }
}

export interface Bucket {
  readonly bucket: string
  readonly stream: string
  /** What the subject of a key begins with. */
  readonly subject: string
  /** What the subject of the news of a key begins with. */
  readonly live: string
}

export function namesOf(namespace: string): Names {
  return {
    journal: {
      stream: `${namespace}_EV`,
      subjects: `${namespace}.ev.`,
      live: `${namespace}.live.ev.`,
    },
    register: bucketOf(namespace, 'reg'),
    cache: bucketOf(namespace, 'cache'),
    blobs: `${namespace}_blob`,
    published: { stream: `${namespace}_PUB`, subjects: `${namespace}.live.v1.` },
  }
}

function bucketOf(namespace: string, name: string): Bucket {
  const bucket = `${namespace}_${name}`
  return {
    bucket,
    stream: `KV_${bucket}`,
    subject: `$KV.${bucket}.`,
    live: `${namespace}.live.${name}.`,
  }
}
