import { ReadableSource } from './readable-source.ts';

/** The source of a WHATWG stream of values: one for each read. */
export class ReadableValueSource<T> extends ReadableSource<T, ReadableStreamDefaultController<T>> {
  protected override give(): boolean {
    const { cursor } = this;
    if (cursor.lag === 0) return false;
    const result = cursor.read();
    if (result == null) return false;
    this.giveChunk(result.value);
    return true;
  }

  protected override giveChunk(value: T): void {
    this.controller.enqueue(value);
  }
}
