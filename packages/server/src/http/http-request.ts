/** A request as the protocol sees it, whatever runtime it came from. */
export interface HttpRequest {
  /** In capitals. */
  readonly method: string;
  /** Path of the URL as it was sent, not decoded, without the query. */
  readonly path: string;
  /** What stands after the `?`, as it was sent; empty if there is none. */
  readonly query: string;
  /** Scheme and host that the client asked, without a slash at the end, as far as is known: for `Location`. */
  readonly origin: string;
  /** Value of a header by its name in small letters; several lines are joined by `, `. */
  header(name: string): string | undefined;
  /** Length of the body as it was declared; undefined where it is not known before its end. 0: none. */
  readonly bodyLength: number | undefined;
  /** The body. To be called once at most. Throws if the client breaks off. Stopping to iterate leaves the rest unread. */
  body(): AsyncIterable<Uint8Array>;
  /**
   * All of the body, where it has come already, which it mostly has where it is small; undefined: it is read with `body()`. The one or the
   * other gives its bytes once.
   */
  takeBody?(): Uint8Array | undefined;
  /** Calls back, once, when the client has gone before the reply was complete. For replies that wait. */
  onGone(callback: () => void): void;
  /** Address of the client, where that is known. */
  readonly remoteAddress: string | undefined;
  /**
   * The request as the runtime or the host has it: an `IncomingMessage`, a `Request`. What the host knows of the client, such as its user, can
   * stand there for `authorize`. Undefined where there is none.
   */
  readonly raw?: unknown;
}
