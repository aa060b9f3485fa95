/** What a stream must be, as simply as it can be said. */
import type { StreamConfig, StreamEnd } from '../../../packages/server/src/backends/backend.ts';

interface ModelAppend {
  readonly offset: number;
  readonly time: number;
}

/** What is let go by age goes so much later at most, for the ages that the tests use, in milliseconds. */
export const MOMENT = 3000;

export class StreamModel {
  readonly name: string;
  readonly generation: number;
  readonly config: StreamConfig;
  readonly source: StreamModel | undefined;
  readonly createdAt: number;
  readonly facts: Map<string, string> = new Map();
  readonly appends: ModelAppend[] = [];
  /** All bytes that it ever had, those of its source too. */
  text: string;
  head: number;
  end: StreamEnd | undefined;
  /** Monotonic; Infinity: it does not expire. */
  deadline: number = Number.POSITIVE_INFINITY;
  isGone = false;

  constructor(name: string, generation: number, config: StreamConfig, source: StreamModel | undefined, now: number) {
    this.name = name;
    this.generation = generation;
    this.config = config;
    this.source = source;
    this.createdAt = now;
    this.text = source?.text.slice(0, this.border) ?? '';
    this.head = source?.head ?? 0;
    this.touch(now);
  }

  get border(): number {
    return this.config.fork?.offset ?? 0;
  }

  get tail(): number {
    return this.text.length;
  }

  touch(now: number): void {
    if (this.config.ttl !== undefined) this.deadline = now + this.config.ttl;
  }

  append(text: string, now: number): void {
    if (text !== '') this.appends.push({ offset: this.tail, time: now });
    this.text += text;
    this.touch(now);
  }

  /** Where an append begins, of its own or of what it inherits, and the tail. */
  borders(): number[] {
    const inherited = this.source?.borders().filter((offset) => offset < this.border) ?? [];
    return [...inherited, this.border, ...this.appends.map(({ offset }) => offset), this.tail];
  }

  /** The bounds of what the head may be now. */
  #bounds(now: number): { least: number; most: number } {
    const { retainBytes, retainFor } = this.config;
    let least = this.head;
    let most = this.head;
    if (retainBytes !== undefined && this.tail - this.head > retainBytes && this.appends.length > 0) {
      const newest = (this.appends.at(-1) as ModelAppend).offset;
      least = Math.max(least, Math.min(newest, this.borders().find((at) => at >= this.tail - retainBytes) ?? 0));
      // What it inherits may go as a whole, where its source knows no more of it.
      most = Math.max(least, Math.min(newest, this.border));
    }
    if (retainFor !== undefined) {
      least = Math.max(least, this.#olderThan(now - retainFor - MOMENT, this.head));
      most = Math.max(most, this.#olderThan(now - retainFor));
    }
    return { least, most };
  }

  /**
   * Offset below which all is older. Where a source has let go of what is from `known` on, it no longer knows the age of what it keeps
   * for its forks: that of the fork counts.
   */
  #olderThan(time: number, known = Number.POSITIVE_INFINITY): number {
    const { border, source } = this;
    const young = this.appends.find((append) => append.time >= time);
    if (young !== undefined && young.offset > border) return young.offset;
    if (young === undefined && this.appends.length > 0) return this.tail;
    if (source === undefined) return young?.offset ?? border;
    if (this.createdAt < time) return border;
    if (source.head > known || (source.isGone && known < border)) return 0;
    return Math.min(border, source.#olderThan(time, known));
  }

  /** Takes over the head that was seen. @throws where it cannot be that */
  see(head: number, now: number): void {
    const { least, most } = this.#bounds(now);
    const seen = `${this.name}: the head is ${head}, it was ${this.head}`;
    if (head < least || head > most) throw new Error(`${seen}, and must be from ${least} to ${most} of ${this.tail}`);
    if (head !== this.head && !this.borders().includes(head)) throw new Error(`${seen}: no append begins there`);
    this.head = head;
  }
}
