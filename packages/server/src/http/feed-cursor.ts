import { currentCursor, isNear } from './live-cursor.ts';

/** The cursor in what is sent to many: the current one, or a later one that some client of theirs has had already. Never goes back. */
export class FeedCursor {
  readonly #now: () => number;
  #least: number;

  constructor(now: () => number, least = 0) {
    this.#now = now;
    this.#least = least;
  }

  get current(): number {
    return (this.#least = Math.max(this.#least, currentCursor(this.#now())));
  }

  /** From now on at least that one. */
  raise(cursor: number): void {
    if (cursor > this.#least && isNear(cursor, this.#now())) this.#least = cursor;
  }
}
