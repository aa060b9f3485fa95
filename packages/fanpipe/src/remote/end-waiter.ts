import { RangeWaiter } from './range-waiter.ts';

/** Waits for no byte, but for the end of the request that has brought all up to `at`: it may still turn out to be wrong. */
export class EndWaiter extends RangeWaiter {
  readonly #ended: () => void;
  readonly #failed: (reason: unknown) => void;

  constructor(at: number, ended: () => void, failed: (reason: unknown) => void) {
    super(at, at);
    this.#ended = ended;
    this.#failed = failed;
  }

  override receive(): void {}

  override finish(): void {
    this.#ended();
  }

  override fail(reason: unknown): void {
    this.#failed(reason);
  }
}
