import type { LocalStream } from './local-stream.ts';

/**
 * The offset at which the oldest append begins that may stay so that at most `bytes` are readable. What a fork inherits goes by the
 * appends of its sources, as far as they still know where those begin.
 */
export function borderFrom(stream: LocalStream, bytes: number): number {
  const { storage } = stream.host;
  const least = stream.tail - bytes;
  let owner = stream;
  let border = stream.tail;
  while (least < owner.border) {
    border = Math.min(border, owner.border);
    owner = owner.source as LocalStream;
  }
  // The storage counts from its own tail, which may be that of appends under way.
  const found = storage.retainFrom(owner.generation, storage.tail(owner.generation) - least, undefined);
  return owner === stream ? found : Math.min(border, found < least ? border : found);
}

/** The offset at which the oldest append begins that is not older than `since`; the tail at most. */
export function youngFrom(stream: LocalStream, since: number): number {
  const { storage } = stream.host;
  let to = stream.tail;
  for (let owner = stream; ; owner = owner.source) {
    const found = Math.min(to, storage.retainFrom(owner.generation, undefined, since));
    if (owner.source === undefined || found > owner.border) return found;
    to = Math.min(to, owner.border);
    // How old that is which the source has let go of it cannot say; it is older than the fork.
    if (owner.source.head > stream.head) return owner.record.createdAt < since ? to : stream.head;
  }
}
