/** What is waited for of a storage that may never answer. */
export class Answers {
  readonly #unanswered = new Set<(reason: unknown) => void>();

  /** Its answer, or the reason of `abandon` if that comes first. */
  to<T>(call: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#unanswered.add(reject);
      const answered = (): void => {
        this.#unanswered.delete(reject);
      };
      (async () => await call())().then(resolve, reject).then(answered, answered);
    });
  }

  abandon(reason: unknown): void {
    for (const reject of this.#unanswered) reject(reason);
    this.#unanswered.clear();
  }
}
