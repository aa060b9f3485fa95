import type { RangeSink } from './range-sink.ts';
import { RangeWaiter } from './range-waiter.ts';

/** Who is told how it went. */
export interface SinkOwner {
  /** The bytes up to `waiter.from` are in the sink. Fewer than it waited for: the resource ends there. */
  filled(waiter: SinkWaiter): void;
  failed(reason: unknown): void;
}

/** Waits for one gap of a read, and puts what comes into the memory of that read. */
export class SinkWaiter extends RangeWaiter {
  readonly #sink: RangeSink;
  readonly #owner: SinkOwner;

  constructor(from: number, to: number, sink: RangeSink, owner: SinkOwner) {
    super(from, to);
    this.#sink = sink;
    this.#owner = owner;
  }

  override receive(bytes: Uint8Array): void {
    try {
      this.#sink.put(this.from, bytes);
    } catch (reason) {
      // No memory for it, or no longer: that is the affair of this read alone.
      this.leave();
      this.#owner.failed(reason);
    }
  }

  override finish(): void {
    this.#owner.filled(this);
  }

  override fail(reason: unknown): void {
    this.#owner.failed(reason);
  }
}
