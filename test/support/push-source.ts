/**
 * A source whose every step is in the hands of the test: it answers a read when the test pushes, and notes what it was asked.
 */

interface Read<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(reason: unknown): void;
}

export class PushSource<T> implements AsyncIterable<T>, AsyncIterator<T, undefined> {
  /** How often `next()` and `return()` were called. */
  asked = 0;
  returned = 0;
  /** `return()` rejects with this, if set. */
  returnFails: unknown;
  readonly #ready: ((read: Read<T>) => void)[] = [];
  readonly #reads: Read<T>[] = [];

  /** Reads that are not answered. */
  get waiting(): number {
    return this.#reads.length;
  }

  push(...items: T[]): void {
    for (const value of items) this.#answer((read) => read.resolve({ done: false, value }));
  }

  end(): void {
    this.#answer((read) => read.resolve({ done: true, value: undefined }));
  }

  fail(reason: unknown): void {
    this.#answer((read) => read.reject(reason));
  }

  next(): Promise<IteratorResult<T, undefined>> {
    this.asked++;
    return new Promise((resolve, reject) => {
      const ready = this.#ready.shift();
      if (ready) ready({ resolve, reject });
      else this.#reads.push({ resolve, reject });
    });
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.returned++;
    if (this.returnFails !== undefined) throw this.returnFails;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #answer(answer: (read: Read<T>) => void): void {
    const read = this.#reads.shift();
    if (read) answer(read);
    else this.#ready.push(answer);
  }
}
