/**
 * Runs operations one after the other, in the order in which they were asked for.
 *
 * One that is done at once, without waiting, costs no more than its promise.
 */
export class OperationQueue {
  readonly #waiting: (() => void)[] = [];
  #isBusy = false;

  /** Calls `operation` when it is its turn: now, if nothing else is. Settles as it does. */
  run<T>(operation: () => T | Promise<T>): Promise<T> {
    if (!this.#isBusy) return this.#start(operation);
    return new Promise((resolve) => this.#waiting.push(() => resolve(this.#start(operation))));
  }

  /** To be called by an operation while it begins: the next one begins with {@link release}, not when its promise settles. */
  hold(): void {
    this.#isBusy = true;
  }

  /** The operation that has called {@link hold} is done. */
  release(): void {
    this.#next();
  }

  #start<T>(operation: () => T | Promise<T>): Promise<T> {
    let result: T | Promise<T>;
    try {
      result = operation();
    } catch (error) {
      return Promise.reject(error);
    }
    if (!(result instanceof Promise)) return Promise.resolve(result);
    if (!this.#isBusy) {
      this.#isBusy = true;
      result.then(this.#next, this.#next);
    }
    return result;
  }

  readonly #next = (): void => {
    this.#isBusy = false;
    while (!this.#isBusy) {
      const begin = this.#waiting.shift();
      if (begin === undefined) return;
      begin();
    }
  };
}
