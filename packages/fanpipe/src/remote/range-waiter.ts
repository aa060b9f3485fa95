/** Whoever a waiter is with: a request that will bring its bytes, or the list of those for which none was made yet. */
export interface WaiterHome {
  /** The waiter wants nothing more. Does nothing if it is not here. */
  leave(waiter: RangeWaiter): void;
}

/**
 * Someone who waits for the bytes from `from` to `to`, which come in order and without a gap, from one request.
 *
 * It is told of each piece with `receive`, and then once either with `finish` or with `fail`.
 */
export abstract class RangeWaiter {
  /** Offset of the next byte that it waits for. */
  from: number;
  /** Offset after the last one. */
  to: number;
  home: WaiterHome | undefined;

  constructor(from: number, to: number) {
    this.from = from;
    this.to = to;
  }

  /** Bytes that begin at `from` and go at most to `to`. They are shared: not to be changed. */
  abstract receive(bytes: Uint8Array): void;

  /** All has come, or the resource has ended at `from`. */
  abstract finish(): void;

  /** What is missing will not come. */
  abstract fail(reason: unknown): void;

  /** Nothing more is wanted; neither `finish` nor `fail` is called any more. */
  leave(): void {
    const { home } = this;
    this.home = undefined;
    home?.leave(this);
  }
}
