/**
 * NOW: the writer and its streams may be used from within anything of the caller's that runs on their account. Whatever is
 * done there, what all readers see is as if the calls had come one after the other.
 */

import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../packages/fanpipe/src/core/byte-writer.ts';
import type { TypedStream, TypedStreamOptions } from '../../packages/fanpipe/src/core/typed-stream.ts';
import { TypedWriter } from '../../packages/fanpipe/src/core/typed-writer.ts';
import { WriterEndedError } from '../../packages/fanpipe/src/errors.ts';
import { settle } from '../support/fake-clock.ts';

interface Observed {
  readonly start: number;
  readonly values: string[];
  end: unknown;
}

/** Reads to the end and notes all there was. */
function observe(stream: TypedStream<string>, batches: boolean): { seen: Observed; done: Promise<void> } {
  const seen: Observed = { start: stream.position, values: [], end: undefined };
  const read = async (): Promise<void> => {
    try {
      if (batches) for await (const batch of stream.batches()) seen.values.push(...batch);
      else for await (const value of stream) seen.values.push(value);
      seen.end = 'done';
    } catch (error) {
      seen.end = error;
    }
  };
  return { seen, done: read() };
}

/** A writer with readers of several kinds. Each value counts 1, so an offset is a count of values. */
class Scene {
  /** Runs inside `size`, once. */
  inSize: (() => void) | undefined;
  readonly writer: TypedWriter<string> = new TypedWriter<string>({
    replay: 'all',
    size: () => {
      const { inSize } = this;
      this.inSize = undefined;
      inSize?.();
      return 1;
    },
  });
  readonly observers: { seen: Observed; done: Promise<void> }[] = [];
  readonly victim: TypedStream<string>;
  readonly victimRead: Promise<IteratorResult<string, undefined>>;
  readonly actions: Promise<unknown>[] = [];

  constructor() {
    this.writer.writeSync('before');
    this.observe();
    this.observe({ from: 'start' }, true);
    this.observe({ highWaterMark: 1000 });
    this.observe({ overflow: 'drop-oldest', highWaterMark: 1000 }, true);
    this.observe({ overflow: 'drop-newest', from: { last: 1 } });
    this.victim = this.writer.stream({ from: 'now' });
    this.victimRead = this.victim[Symbol.asyncIterator]().next();
    this.victimRead.catch(() => {});
  }

  observe(options?: TypedStreamOptions, batches = false): void {
    this.observers.push(observe(this.writer.stream(options), batches));
  }
}

const reason = new Error('failed from within');

/** What is done from within. */
const actions: Record<string, (scene: Scene) => void> = {
  write: ({ writer, actions: started }) => void started.push(writer.write('inner')),
  writeSync: ({ writer }) => void writer.writeSync('inner'),
  writev: ({ writer, actions: started }) => void started.push(writer.writev(['inner', 'inner too'])),
  close: ({ writer }) => writer.close(),
  end: ({ writer, actions: started }) => void started.push(writer.end()),
  fail: ({ writer }) => writer.fail(reason),
  'write, then close': ({ writer }) => {
    writer.writeSync('inner');
    writer.close();
  },
  'write, then fail': ({ writer }) => {
    writer.writeSync('inner');
    writer.fail(reason);
  },
  'open streams': (scene) => {
    scene.observe();
    scene.observe({ from: 'start' });
    scene.observe({ from: { last: 1 }, overflow: 'drop-oldest' }, true);
  },
  'open a stream between two writes': (scene) => {
    scene.writer.writeSync('inner');
    scene.observe();
    scene.writer.writeSync('inner too');
  },
  'cancel another': ({ victim }) => victim.cancel('from within'),
  flush: ({ writer, actions: started }) => void started.push(writer.flush()),
  'write and flush': ({ writer, actions: started }) => void started.push(writer.write('inner'), writer.flush()),
  'read another': ({ victim }) => void victim.read(),
};

/** The abort ended this read, unless something came before it: a value, or the end of the writer. */
async function expectStopped(read: Promise<IteratorResult<string, undefined>>): Promise<void> {
  const outcome = await read.catch((error) => error);
  expect(['stop', reason, 'inner', undefined]).toContain(outcome?.done === undefined ? outcome : outcome.value);
}

/** From within what. Each makes `act` run once, and says how an outer write, if there was one, went. */
const places: Record<string, (scene: Scene, act: () => void) => Promise<unknown>> = {
  'a reader’s loop': async ({ writer }, act) => {
    const loop = (async () => {
      for await (const value of writer.stream()) {
        if (value === 'trigger') return act();
      }
    })();
    await writer.write('trigger');
    await loop;
  },
  'the first of many readers that one write wakes': async ({ writer }, act) => {
    let acted = false;
    const streams = Array.from({ length: 5 }, () => writer.stream());
    const reads = streams.map((stream) => stream[Symbol.asyncIterator]().next());
    for (const read of reads) {
      void read.then(() => {
        if (!acted) act();
        acted = true;
      });
    }
    await writer.write('trigger');
    await Promise.all(reads);
    for (const stream of streams) stream.cancel();
  },
  'a loop over batches': async ({ writer }, act) => {
    const loop = (async () => {
      for await (const batch of writer.stream().batches()) {
        if (batch.includes('trigger')) return act();
      }
    })();
    await writer.write('trigger');
    await loop;
  },
  'a loop’s finally, after a cancel': async ({ writer }, act) => {
    const stream = writer.stream();
    const loop = (async () => {
      try {
        for await (const _ of stream);
      } finally {
        act();
      }
    })();
    stream.cancel();
    await loop;
  },
  'a loop’s finally, after a throw': async ({ writer }, act) => {
    const loop = (async () => {
      try {
        for await (const _ of writer.stream({ overflow: 'block' })) throw new Error('the body threw');
      } finally {
        act();
      }
    })();
    await writer.write('trigger');
    await loop.catch(() => {});
  },
  onMissed: async ({ writer }, act) => {
    const stream = writer.stream({ overflow: 'drop-oldest', highWaterMark: 1, onMissed: act });
    await writer.write('a');
    await writer.write('b');
    stream.read();
    await settle();
    stream.cancel();
  },
  'size, before a write': (scene, act) => {
    scene.inSize = act;
    return scene.writer.write('outer').catch((error: unknown) => error);
  },
  'size, before a synchronous write': async (scene, act) => {
    scene.inSize = act;
    return scene.writer.writeSync('outer') ? undefined : new WriterEndedError('closed');
  },
  'size, in the middle of several': (scene, act) => {
    const values = (function* () {
      yield 'outer';
      scene.inSize = act;
      yield 'outer too';
    })();
    return scene.writer.writev(values).catch((error: unknown) => error);
  },
  'an iterable that is written': (scene, act) => {
    const values = (function* () {
      yield 'outer';
      act();
      yield 'outer too';
    })();
    return scene.writer.writev(values).catch((error: unknown) => error);
  },
  'a listener on a stream’s signal, which was there before the stream': async ({ writer }, act) => {
    const controller = new AbortController();
    controller.signal.addEventListener('abort', act);
    const read = writer.stream({ signal: controller.signal })[Symbol.asyncIterator]().next();
    controller.abort('stop');
    await expectStopped(read);
  },
  'a listener on a stream’s signal, which came after the stream': async ({ writer }, act) => {
    const controller = new AbortController();
    const read = writer.stream({ signal: controller.signal, overflow: 'block' })[Symbol.asyncIterator]().next();
    controller.signal.addEventListener('abort', act);
    controller.abort('stop');
    await expectStopped(read);
  },
  'what follows a write': async ({ writer }, act) => {
    await writer.write('trigger').then(act);
  },
  'what follows a write that waited': async ({ writer }, act) => {
    const stream = writer.stream({ highWaterMark: 0 });
    const written = writer.write('trigger').then(act);
    stream.cancel();
    await written;
  },
  'what follows a flush': async ({ writer }, act) => {
    await writer.flush().then(act);
  },
};

describe('NOW: calls from within', () => {
  for (const [place, run] of Object.entries(places)) {
    test.for(Object.entries(actions))(`NOW ORD ACC: from within ${place}: %s`, async ([name, action]) => {
      const scene = new Scene();
      const { writer } = scene;
      let acted = 0;
      const outer = await run(scene, () => {
        acted++;
        action(scene);
      });
      expect(acted).toBe(1);
      const ended = writer.state !== 'open';
      if (outer !== undefined) {
        // The inner call came first, so the outer write found an ended writer and took nothing.
        expect(outer).toBeInstanceOf(WriterEndedError);
        expect(ended).toBe(true);
      } else if (place.startsWith('size') || place.startsWith('an iterable')) {
        expect(ended).toBe(false);
      }
      await writer.write('after').catch((error) => expect(error).toBeInstanceOf(WriterEndedError));
      scene.victim.cancel();
      writer.close();
      const settled = await Promise.allSettled(scene.actions);
      expect(settled.every(({ status }) => status === 'fulfilled')).toBe(true);
      await Promise.all(scene.observers.map(({ done }) => done));
      await scene.victimRead.catch(() => {});

      // One order, which all have seen from where they began.
      const log = observe(writer.stream({ from: 'start' }), false);
      await log.done;
      const { values: order, end } = log.seen;
      expect(order.length).toBe(writer.valuesWritten);
      expect(end).toBe(writer.state === 'closed' ? 'done' : reason);
      expect(order.filter((value) => value === 'inner').length).toBe(/write|between/.test(name) ? 1 : 0);
      expect(order.includes('outer')).toBe(outer === undefined && /^size|^an iterable/.test(place));
      if (order.includes('outer too')) expect(order.indexOf('outer too')).toBe(order.indexOf('outer') + 1);
      if (order.includes('inner too') && name === 'writev') {
        expect(order.indexOf('inner too')).toBe(order.indexOf('inner') + 1);
      }
      expect(order.includes('after')).toBe(!ended);
      for (const { seen } of scene.observers) {
        expect(seen.values).toEqual(order.slice(seen.start));
        expect(seen.end).toBe(end);
      }
      expect(writer.streamCount).toBe(0);
    });
  }

  test('NOW: no code of the caller runs inside a write, a close, a fail or a cancel', async () => {
    const ran: string[] = [];
    const writer = new ByteWriter();
    const bounded = writer.stream({ overflow: 'drop-newest', highWaterMark: 0, onMissed: () => ran.push('onMissed') });
    const readers = Array.from({ length: 3 }, () => writer.stream());
    for (const reader of readers) {
      void (async () => {
        try {
          for await (const _ of reader) ran.push('loop');
        } catch {
          ran.push('failed');
        } finally {
          ran.push('finally');
        }
      })();
    }
    void writer.flush().then(() => ran.push('flush'));
    await settle();
    expect(ran.splice(0)).toEqual(['flush']);
    void writer.write('x').then(() => ran.push('written'));
    bounded.read();
    expect(ran).toEqual([]);
    await settle();
    expect(ran.splice(0).sort()).toEqual(['loop', 'loop', 'loop', 'onMissed', 'written']);
    readers[0]?.cancel();
    expect(ran).toEqual([]);
    await settle();
    expect(ran.splice(0)).toEqual(['finally']);
    writer.fail(new Error('on purpose'));
    expect(ran).toEqual([]);
    await settle();
    expect(ran.sort()).toEqual(['failed', 'failed', 'finally', 'finally']);
  });

  test('NOW: a loop that feeds itself goes on for as long as it likes, and others see all of it', async () => {
    const writer = new TypedWriter<number>();
    const others = [writer.stream().array(), writer.stream({ overflow: 'drop-oldest', highWaterMark: 10 }).array()];
    const loop = (async () => {
      for await (const value of writer.stream()) {
        if (value === 20_000) writer.close();
        else void writer.write(value + 1);
      }
    })();
    await writer.write(0);
    await loop;
    for (const values of await Promise.all(others)) expect(values).toEqual(Array.from({ length: 20_001 }, (_, i) => i));
  });

  test('NOW DETACH: a reader that cancels all others, itself included, from its loop', async () => {
    const writer = new ByteWriter();
    const streams = Array.from({ length: 10 }, (_, i) => writer.stream(i % 2 === 0 ? {} : { overflow: 'block' }));
    let rounds = 0;
    const loops = streams.map(async (stream) => {
      for await (const _ of stream) {
        rounds++;
        for (const other of streams) other.cancel();
      }
    });
    await writer.write('x');
    await Promise.all(loops);
    // All were served by the write; the first to run then cancelled the reads that were to follow.
    expect(rounds).toBe(10);
    expect(writer.streamCount).toBe(0);
  });
});

describe('NOW: globals that somebody has patched', () => {
  const { then, catch: catches, finally: finals } = Promise.prototype;
  const arrayIterator = Array.prototype[Symbol.iterator];
  const iteratorPrototype = Object.getPrototypeOf([][Symbol.iterator]()) as { next: unknown };
  const { next } = iteratorPrototype;

  function patchPromise(...methods: unknown[]): void {
    for (const [i, name] of (['then', 'catch', 'finally'] as const).entries())
      Promise.prototype[name] = methods[i] as never;
  }

  /** Runs microtasks. A turn of the event loop would let others run into what is patched. */
  async function microtasks(): Promise<void> {
    for (let i = 0; i < 30; i++) await null;
  }

  async function use(writer: ByteWriter, failure: Error | undefined): Promise<unknown[]> {
    const outcomes: unknown[] = [];
    const note = async (label: string, promise: Promise<unknown>): Promise<void> => {
      try {
        const value = await promise;
        outcomes[outcomes.length] = [label, value];
      } catch (error) {
        outcomes[outcomes.length] = [label, error];
      }
    };
    const plain = writer.stream()[Symbol.asyncIterator]();
    const bounded = writer.stream({ overflow: 'drop-oldest', highWaterMark: 3 })[Symbol.asyncIterator]();
    const batches = writer.stream().batches();
    const cancelled = writer.stream();
    const blocking = writer.stream({ overflow: 'block', highWaterMark: 1 });
    void note('first', plain.next());
    void note('second', plain.next());
    void note('bounded', bounded.next());
    void note('batches', batches.next());
    void note('cancelled', cancelled[Symbol.asyncIterator]().next());
    cancelled.cancel();
    void note('text', writer.stream().text());
    await microtasks();
    void note('write', writer.write('abc'));
    void note('flush', writer.flush());
    await microtasks();
    blocking.read();
    await microtasks();
    void note('third', plain.next());
    void note('bounded again', bounded.next());
    void note('batches again', batches.next());
    await microtasks();
    if (failure === undefined) writer.close();
    else writer.fail(failure);
    void note('after the end', plain.next());
    await microtasks();
    return outcomes;
  }

  const patches: Record<string, () => void> = {
    'Promise.prototype.then, catch and finally throw': () => {
      const broken = (): never => {
        throw new Error('patched');
      };
      patchPromise(broken, broken, broken);
    },
    'Promise.prototype.then never calls': () => {
      patchPromise(() => new Promise(() => {}), catches, finals);
    },
  };
  for (const [name, patch] of Object.entries(patches)) {
    for (const failure of [undefined, new Error('the reason')]) {
      test(`NOW ORD FAIL: ${name}, and the writer ${failure === undefined ? 'closes' : 'fails'}`, async () => {
        const expected = await use(new ByteWriter(), failure);
        let actual: unknown[] = [];
        try {
          patch();
          actual = await use(new ByteWriter(), failure);
        } finally {
          patchPromise(then, catches, finals);
        }
        expect(expected.length).toBe(12);
        expect(actual).toEqual(expected);
      });
    }
  }

  test('NOW ORD: iterators of arrays are broken: neither writing nor reading uses them', () => {
    const prepare = (): { writer: TypedWriter<string>; streams: TypedStream<string>[] } => {
      const writer = new TypedWriter<string>({ replay: 2 });
      const streams = [
        writer.stream(),
        writer.stream({ overflow: 'drop-oldest', highWaterMark: 1 }),
        writer.stream({ overflow: 'drop-newest', highWaterMark: 1 }),
        writer.stream({ overflow: 'block', highWaterMark: 100 }),
      ];
      for (const stream of [writer.stream(), writer.stream({ overflow: 'block' })]) {
        void stream[Symbol.asyncIterator]().next();
      }
      return { writer, streams };
    };
    const use = ({ writer, streams }: ReturnType<typeof prepare>): unknown[] => {
      const seen: unknown[] = [];
      for (let i = 0; i < 5; i++) {
        writer.writeSync(`value ${i}`);
        void writer.flush();
      }
      for (let i = 0; i < streams.length; i++) {
        const stream = streams[i] as TypedStream<string>;
        try {
          seen[seen.length] = stream.read()?.value;
        } catch (error) {
          seen[seen.length] = (error as Error).message;
        }
        seen[seen.length] = stream.missed;
        seen[seen.length] = writer.desiredSize;
      }
      streams[0]?.cancel();
      streams[3]?.cancel();
      writer.close();
      seen[seen.length] = writer.streamCount;
      return seen;
    };
    const expected = use(prepare());
    const prepared = prepare();
    let actual: unknown[] = [];
    try {
      const broken = (): never => {
        throw new Error('patched');
      };
      Array.prototype[Symbol.iterator] = broken;
      iteratorPrototype.next = broken;
      actual = use(prepared);
    } finally {
      Array.prototype[Symbol.iterator] = arrayIterator;
      iteratorPrototype.next = next;
    }
    expect(actual).toEqual(expected);
  });

  test('NOW ORD: values that are thenable are values', async () => {
    const writer = new TypedWriter<object>();
    let called = 0;
    // biome-ignore lint/suspicious/noThenProperty: that is what is tried
    const thenable = { then: () => called++ };
    const values = writer.stream().array();
    const parked = writer.stream()[Symbol.asyncIterator]().next();
    await writer.write(thenable);
    writer.close();
    expect((await parked).value).toBe(thenable);
    expect((await values)[0]).toBe(thenable);
    expect(called).toBe(0);
  });
});
