import { isChunk, toBytes } from '../core/to-bytes.ts';
import { InvalidArgumentError, InvalidChunkError } from '../errors.ts';

/** What a transform gets beside its input: the signal fires when the pipeline fails or is left. */
interface TransformOptions {
  readonly signal: AbortSignal;
}

/** Called with each batch, and with null at the end. What it returns may be anything that holds bytes, or a promise. */
type StatelessTransform = (batch: Uint8Array[] | null, options: TransformOptions) => unknown;

/** Called once with all batches, and null after the last. */
interface StatefulTransform {
  transform(
    batches: AsyncIterable<Uint8Array[] | null>,
    options: TransformOptions,
  ): AsyncIterable<unknown> | Iterable<unknown>;
}

/** A transform of the iterable streams API. */
export type Transform = StatelessTransform | StatefulTransform;

type Batches = AsyncIterable<Uint8Array[]>;

/** A source of batches that can be left at once, also while a read of it waits. */
export interface BatchSource extends AsyncIterableIterator<Uint8Array[], undefined> {
  leave(reason: unknown): void;
}

const encoder = new TextEncoder();

/** Whether a value is a transform. Options, which may stand in the same place, are not. */
function isTransform(value: unknown): value is Transform {
  return (
    typeof value === 'function' || typeof (value as StatefulTransform | null | undefined)?.transform === 'function'
  );
}

/** Splits the arguments of `push` and `pull`: transforms, then maybe options. */
export function splitTransforms(args: readonly unknown[]): {
  readonly transforms: readonly Transform[];
  readonly options: { readonly signal?: AbortSignal | undefined };
} {
  const last = args.at(-1);
  const hasOptions = args.length > 0 && !isTransform(last);
  const transforms = hasOptions ? args.slice(0, -1) : args;
  for (const transform of transforms) {
    if (!isTransform(transform)) throw new InvalidArgumentError('transform', transform, 'a function or have one');
  }
  return { transforms: transforms as Transform[], options: (hasOptions && (last as object)) || {} };
}

/** Batches of `source` after they went through all of `transforms`. Leaving it leaves the source. */
export class TransformedBatches implements AsyncIterableIterator<Uint8Array[], undefined> {
  readonly #source: BatchSource;
  readonly #controller: AbortController = new AbortController();
  readonly #output: AsyncGenerator<Uint8Array[], undefined>;

  constructor(source: BatchSource, transforms: readonly Transform[]) {
    this.#source = source;
    const { signal } = this.#controller;
    let batches: Batches = source;
    for (const transform of transforms) {
      batches = typeof transform === 'function' ? map(batches, transform, signal) : through(batches, transform, signal);
    }
    this.#output = batches as AsyncGenerator<Uint8Array[], undefined>;
  }

  async next(): Promise<IteratorResult<Uint8Array[], undefined>> {
    try {
      return await this.#output.next();
    } catch (error) {
      this.#controller.abort(error);
      throw error;
    }
  }

  /** A generator that waits takes no `return()`, so its source is taken away from it first. */
  return(): Promise<IteratorResult<Uint8Array[], undefined>> {
    this.#controller.abort();
    this.#source.leave(this.#controller.signal.reason);
    return this.#output.return(undefined);
  }

  throw(reason: unknown): Promise<IteratorResult<Uint8Array[], undefined>> {
    this.#controller.abort(reason);
    this.#source.leave(reason);
    return this.#output.throw(reason);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

async function* map(
  source: Batches,
  transform: StatelessTransform,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array[], undefined> {
  for await (const batch of source) yield* batchOf(await transform(batch, { signal }));
  yield* batchOf(await transform(null, { signal }));
}

async function* through(
  source: Batches,
  transform: StatefulTransform,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array[], undefined> {
  for await (const item of transform.transform(withEnd(source), { signal })) yield* batchOf(item);
}

async function* withEnd(source: Batches): AsyncGenerator<Uint8Array[] | null, undefined> {
  yield* source;
  yield null;
}

/** What a transform gave, as one batch, or none where it holds no bytes. */
async function* batchOf(given: unknown): AsyncGenerator<Uint8Array[], undefined> {
  const batch: Uint8Array[] = [];
  if (given !== null) await gather(given, batch);
  if (batch.length > 0) yield batch;
}

async function gather(given: unknown, batch: Uint8Array[]): Promise<void> {
  if (isChunk(given)) {
    batch.push(typeof given === 'string' ? encoder.encode(given) : toBytes(given));
  } else if (
    typeof given === 'object' &&
    given !== null &&
    (Symbol.asyncIterator in given || Symbol.iterator in given)
  ) {
    for await (const part of given as AsyncIterable<unknown> | Iterable<unknown>) await gather(part, batch);
  } else {
    throw new InvalidChunkError(given);
  }
}
