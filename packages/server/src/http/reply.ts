import type { Frame } from './frame.ts';

/** The answer to one request. */
export interface Reply {
  readonly status: number;
  /** Name, value, name, value, …; names in small letters. */
  readonly headers: readonly string[];
  /** Nothing, all of it, or what comes with time. */
  readonly body: Uint8Array | StreamedBody | undefined;
}

/** A body that comes with time. The adapter of a runtime starts it with a sink, and stops it when the client has gone. */
export interface StreamedBody {
  /** Its length in bytes, where that is known; it then has a `content-length`. */
  readonly length: number | undefined;
  /** Begins to write to the sink, at once or later. Called once. */
  start(sink: ReplySink): void;
  /** The client has gone: nothing more is written. Frees all it holds. May be called again, and after the end. */
  stop(): void;
}

/** Where the body of one reply goes. A socket, a response of the web. */
export interface ReplySink {
  /** Sends it. False: the client takes no more for now, and nothing should be written before `onDrain`. */
  write(frame: Frame): boolean;
  /** Called when the client takes more, each time after a `write` that gave false. Set by the body. */
  onDrain: (() => void) | undefined;
  /** The body is complete. */
  end(): void;
  /** The body cannot be completed: the client must not take what it got for the whole. */
  abort(reason: unknown): void;
}
