import { InvalidArgumentError } from '../errors.ts';
import { type BaseWriter, channelOf } from './base-writer.ts';

/** What a writer can be fed from. A Node Readable is an async iterable. */
export type Source<T> = AsyncIterable<T> | Iterable<T | PromiseLike<T>> | ReadableStream<T> | Response;

/** What is needed of a source to read it to its end, or to leave it. */
interface SourceReader<T> {
  next(): Promise<IteratorResult<T, unknown>>;
  leave(reason: unknown): Promise<unknown>;
}

/**
 * Feeds `writer` from `source`: as fast as the blocking streams allow, beginning in a microtask. The end of the source
 * closes the writer and its error fails it; a writer that ends otherwise leaves the source.
 *
 * @throws InvalidArgumentError at once, if `source` is nothing that can be read
 */
export function pump<T, V>(source: Source<T>, writer: BaseWriter<V> & { write(value: T): Promise<void> }): void {
  const reader = openSourceFor(source, writer);
  const channel = channelOf(writer);
  const leave = (): void => {
    // The source is the caller's code, which must not run inside `close` or `fail`.
    queueMicrotask(() => {
      reader.leave(channel.reason).catch(() => {});
    });
  };

  /** The next result; a source that has ended or failed is not to be left any more. */
  async function read(): Promise<IteratorResult<T, unknown>> {
    try {
      const result = await reader.next();
      if (result.done) channel.endWatchers.delete(leave);
      return result;
    } catch (error) {
      channel.endWatchers.delete(leave);
      throw error;
    }
  }

  async function run(): Promise<void> {
    try {
      await null;
      while (channel.state === 'open') {
        const { value, done } = await read();
        if (channel.state !== 'open') return;
        if (done) {
          writer.close();
          return;
        }
        await writer.write(value);
      }
    } catch (error) {
      // Its own error, or a chunk that was refused.
      writer.fail(error);
    }
  }

  if (channel.state === 'open') channel.endWatchers.add(leave);
  else leave();
  void run();
}

/** A writer whose source is refused is not returned to anyone, so it must not stay on its signal. */
function openSourceFor<T, V>(source: Source<T>, writer: BaseWriter<V>): SourceReader<T> {
  try {
    return openSource(source);
  } catch (error) {
    writer.fail(error);
    throw error;
  }
}

function openSource<T>(source: Source<T>): SourceReader<T> {
  if (typeof Response === 'function' && source instanceof Response) {
    if (source.bodyUsed) throw new InvalidArgumentError('source', source, 'a Response whose body is not read yet');
    return source.body === null
      ? readIterable<T>([])
      : readWebStream(source.body as ReadableStream<unknown> as ReadableStream<T>);
  }
  if (typeof ReadableStream === 'function' && source instanceof ReadableStream) {
    if (source.locked) throw new InvalidArgumentError('source', source, 'a ReadableStream that is not locked');
    return readWebStream(source);
  }
  if (source !== null && (typeof source === 'object' || typeof source === 'function')) {
    const { [Symbol.asyncIterator]: asyncIterator, [Symbol.iterator]: iterator } = source as Partial<
      AsyncIterable<T> & Iterable<T>
    >;
    if (typeof asyncIterator === 'function') return readAsyncIterable(source as AsyncIterable<T>);
    if (typeof iterator === 'function') return readIterable(source as Iterable<T>);
  }
  throw new InvalidArgumentError('source', source, 'an iterable, an async iterable, a ReadableStream or a Response');
}

function readWebStream<T>(source: ReadableStream<T>): SourceReader<T> {
  const reader = source.getReader();
  return { next: () => reader.read() as Promise<IteratorResult<T>>, leave: (reason) => reader.cancel(reason) };
}

function readAsyncIterable<T>(source: AsyncIterable<T>): SourceReader<T> {
  if (isNodeStream(source)) return readNodeStream(source);
  const iterator = source[Symbol.asyncIterator]();
  return { next: () => iterator.next(), leave: async () => iterator.return?.() };
}

function readNodeStream<T>(source: AsyncIterable<T> & NodeStream): SourceReader<T> {
  // Its iterator listens for an error from the first `next()` on. One that comes before, or because the source is left before,
  // would be heard by nobody, and end the process.
  source.on?.('error', () => {});
  const iterator = source[Symbol.asyncIterator]();
  // That iterator takes a `return()` only after the chunk that it waits for, or not at all before the first one: a socket that
  // has fallen silent would stay open for ever.
  return { next: () => iterator.next(), leave: async () => source.destroy() };
}

/** As much of a Node stream as is needed to know one, and to leave it. */
export interface NodeStream {
  pipe(target: unknown): unknown;
  destroy(): void;
  on?(event: 'error', listener: (error: unknown) => void): unknown;
  readonly readableEnded?: boolean;
}

/** Whether `source` is a stream of Node, without importing Node. */
export function isNodeStream(source: unknown): source is NodeStream {
  const { pipe, destroy } = source as Partial<NodeStream>;
  return typeof pipe === 'function' && typeof destroy === 'function';
}

function readIterable<T>(source: Iterable<T | PromiseLike<T>>): SourceReader<T> {
  const iterator = source[Symbol.iterator]();
  return {
    next: async () => {
      const { value, done } = iterator.next();
      try {
        return { value: (await value) as T, done: done === true };
      } catch (error) {
        // The iterator knows nothing of a promise of its that was rejected. What it says to that is not what failed.
        try {
          iterator.return?.();
        } catch {}
        throw error;
      }
    },
    leave: async () => iterator.return?.(),
  };
}
