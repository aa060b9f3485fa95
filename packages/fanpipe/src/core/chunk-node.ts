/**
 * One write, as a node of the channel's singly linked list.
 *
 * ```text
 *   head                                        tail (empty: the next write fills it)
 *    │                                            │
 *  [start 0 | data]──next─▶[start 7 | data]──next─▶[start 17]
 *                            ▲
 *                            └── a cursor: the node whose bytes it reads next
 * ```
 *
 * The last node is always empty, so a reader that keeps up points at a node without bytes and pins no memory. Nodes
 * point forward only: what lies behind the slowest cursor is reachable from nothing, and the garbage collector is what
 * trims the list.
 */
export class ChunkNode<T> {
  /** The node of the following write; null at the tail. */
  next: ChunkNode<T> | null = null;
  /**
   * What a reader on the fast path follows: `next`, or null where it must stop and look, which is at the tail and at a
   * node that a flush waits for.
   */
  open: ChunkNode<T> | null = null;
  /**
   * Offset of the first byte (typed: of the record). The node's size is `next.start - start`. It changes in the empty tail
   * only, when a chunk goes by without a place in the list.
   */
  start: number;
  /** The chunk itself where `at` is -1, else the slab that holds its bytes. Undefined in the empty tail. */
  data: T | ArrayBuffer | undefined = undefined;
  /** Index of the first byte in the slab, or -1 for a chunk held by reference. */
  at = -1;

  constructor(start: number) {
    this.start = start;
  }
}

/** Where every cursor stands that is not on the fast path: a node that leads nowhere, so one check tells. */
export const NOWHERE: ChunkNode<never> = new ChunkNode<never>(-1);

/** The chunk of a filled node. The view into a slab is made here, when somebody wants this one chunk. */
export function chunkOf<T>(node: ChunkNode<T>): T {
  if (node.at < 0) return node.data as T;
  return viewOf(node.data as ArrayBuffer, node.at, (node.next as ChunkNode<T>).start - node.start);
}

/** A piece of a slab as a chunk. Only bytes are ever in slabs. */
export function viewOf<T>(slab: ArrayBuffer, at: number, size: number): T {
  return new Uint8Array(slab, at, size) as T;
}

/** The bytes of a chunk from `from` on, as a view of the same memory. Only bytes are ever cut: records are whole. */
export function cutChunk<T>(chunk: T, from: number, to?: number): T {
  return (chunk as Uint8Array).subarray(from, to) as T;
}

/**
 * What lies from `skip` bytes into `from` up to `to`, as an array. Neighbours in one slab become one view, so many
 * small writes cost one view and no copy.
 */
export function collectChunks<T>(from: ChunkNode<T>, skip: number, to: ChunkNode<T>): T[] {
  const chunks: T[] = [];
  let node = from;
  let skipped = skip;
  while (node !== to) {
    let after = node.next as ChunkNode<T>;
    if (node.at < 0) {
      chunks.push(skipped === 0 ? (node.data as T) : cutChunk(node.data as T, skipped));
    } else {
      const slab = node.data as ArrayBuffer;
      let end = node.at + after.start - node.start;
      if (after === to || after.data !== slab || after.at !== end) {
        const chunk = chunkOf(node);
        chunks.push(skipped === 0 ? chunk : cutChunk(chunk, skipped));
      } else {
        do {
          const following = after.next as ChunkNode<T>;
          end += following.start - after.start;
          after = following;
        } while (after !== to && after.data === slab && after.at === end);
        const begin = node.at + skipped;
        chunks.push(viewOf(slab, begin, end - begin));
      }
    }
    skipped = 0;
    node = after;
  }
  return chunks;
}
