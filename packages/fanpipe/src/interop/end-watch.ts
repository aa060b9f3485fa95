import type { Channel } from '../core/channel.ts';

/** What wants to know that a writer has ended. */
export interface EndTarget {
  /** Called once, inside `close` or `fail`: must run no user code. */
  channelEnded(): void;
}

const dropped: FinalizationRegistry<EndWatch> = new FinalizationRegistry((watch) => watch.stop());

/**
 * Tells `target` when a channel ends, and keeps neither of the two alive for that: a web stream that somebody dropped
 * must not hold, by way of a writer that lives on, the bytes that it had yet to read.
 */
export class EndWatch {
  readonly #endWatchers: Set<() => void>;
  readonly #tell: () => void;

  constructor(channel: Pick<Channel<unknown>, 'endWatchers'>, target: EndTarget) {
    const held = new WeakRef(target);
    this.#endWatchers = channel.endWatchers;
    this.#tell = () => held.deref()?.channelEnded();
    this.#endWatchers.add(this.#tell);
    dropped.register(target, this, this);
  }

  /** The end is no news any more. Nothing happens if it was told, or stopped before. */
  stop(): void {
    this.#endWatchers.delete(this.#tell);
    dropped.unregister(this);
  }
}
