import { ReadableSource } from './readable-source.ts';

/** Most bytes that one read of a default reader gets. A BYOB reader says how many it wants. */
const MOST_PER_READ = 64 * 1024;

const NOTHING = new Uint8Array(0);

/**
 * The source of a WHATWG byte stream.
 *
 * Bytes are copied once: from the channel into the memory that a BYOB reader brings, or into memory made for the read, of
 * just the size of what is waiting. So the memory is always private: such a stream transfers it away from under a view.
 */
export class ReadableByteSource extends ReadableSource<Uint8Array, ReadableByteStreamController> {
  readonly type = 'bytes' as const;
  /** What is left of a chunk for which a read had to wait. It may be shared, and is copied from only. */
  #rest: Uint8Array = NOTHING;

  protected override get hasRest(): boolean {
    return this.#rest.byteLength > 0;
  }

  protected override give(): boolean {
    const { cursor, controller } = this;
    const waiting = this.hasRest ? this.#rest.byteLength : cursor.lag;
    if (waiting === 0) return false;
    const request = controller.byobRequest;
    const view = request?.view;
    if (request != null && view != null) {
      request.respond(this.#fill(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)));
    } else {
      const memory = new Uint8Array(Math.min(waiting, MOST_PER_READ));
      const filled = this.#fill(memory);
      controller.enqueue(memory.subarray(0, filled));
    }
    return true;
  }

  protected override giveChunk(chunk: Uint8Array): void {
    this.#rest = chunk;
    this.give();
  }

  #fill(memory: Uint8Array): number {
    if (!this.hasRest) return this.cursor.fill(memory) as number;
    const rest = this.#rest;
    const size = Math.min(rest.byteLength, memory.byteLength);
    memory.set(size < rest.byteLength ? rest.subarray(0, size) : rest);
    this.#rest = size < rest.byteLength ? rest.subarray(size) : NOTHING;
    return size;
  }

  /** A BYOB reader that waits gets its memory back, empty. */
  protected override closeController(): void {
    const { controller } = this;
    try {
      controller.close();
    } catch {
      // A view of elements wider than a byte was filled to the middle of one: the standard errors the stream for that.
      return;
    }
    controller.byobRequest?.respond(0);
  }
}
