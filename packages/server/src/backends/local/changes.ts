/** Lets one at a time create or remove the stream of a name. */
export class Changes {
  readonly #byName = new Map<string, Promise<void>>();

  isUnderWay(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Resolves when the one that is under way is over, however it ends. Another one may have begun then. */
  async settled(name: string): Promise<void> {
    await this.#byName.get(name);
  }

  /** Resolves when none is under way for any name. */
  async allSettled(): Promise<void> {
    while (this.#byName.size > 0) await Promise.all(this.#byName.values());
  }

  /** Runs it. To be called where none is under way for that name. */
  run<T>(name: string, change: () => Promise<T>): Promise<T> {
    const work = change();
    const over = (): void => {
      this.#byName.delete(name);
    };
    this.#byName.set(name, work.then(over, over));
    return work;
  }
}
