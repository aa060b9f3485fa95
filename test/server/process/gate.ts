/** Lets through those who wait for something while it is there. */
export class Gate<T> {
  #value: T | undefined;
  #isOver = false;
  #waiting: ((value: T | undefined) => void)[] = [];
  #watchers: { readonly count: number; readonly tell: () => void }[] = [];

  /** What there is, once there is something. Undefined: there will be nothing any more. */
  wait(): Promise<T | undefined> {
    if (this.#value !== undefined || this.#isOver) return Promise.resolve(this.#value);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#watchers = this.#watchers.filter(({ count, tell }) => {
        if (this.#waiting.length < count) return true;
        tell();
        return false;
      });
    });
  }

  open(value: T): void {
    this.#value = value;
    for (const resolve of this.#waiting.splice(0)) resolve(value);
  }

  close(): void {
    this.#value = undefined;
  }

  /** Nothing comes any more. */
  end(): void {
    this.close();
    this.#isOver = true;
    for (const resolve of this.#waiting.splice(0)) resolve(undefined);
  }

  /** Resolves when so many wait. */
  waited(count: number): Promise<void> {
    if (this.#waiting.length >= count) return Promise.resolve();
    return new Promise((tell) => this.#watchers.push({ count, tell }));
  }
}
