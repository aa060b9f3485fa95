/** GONE and CLEAN for Node's streams: what is dropped holds nothing, what has ended leaves no listener. */

import { getEventListeners } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { channelOf } from '../../packages/fanpipe/src/core/base-writer.ts';
import { ByteWriter } from '../../packages/fanpipe/src/index.ts';
import { fromReadable, pipeToResponse, toReadable, toWritable } from '../../packages/fanpipe/src/node.ts';
import { collect, collectUntil, Living } from '../support/collector.ts';
import { settle } from '../support/fake-clock.ts';

const listenersOf = (stream: NodeJS.EventEmitter): number =>
  stream.eventNames().reduce((sum, event) => sum + stream.listenerCount(event), 0);

describe('toReadable()', () => {
  test('GONE: one that is dropped is collected, and with it its bytes', async () => {
    const writer = new ByteWriter({ copy: false });
    const streams = new Living();
    const chunks = new Living();
    const open = (): void => {
      streams.add(toReadable(writer.stream()));
    };
    for (let i = 0; i < 10; i++) open();
    for (let i = 0; i < 10; i++) writer.writeSync(chunks.add(new Uint8Array(1000)));
    expect([await streams.count(), await chunks.count()]).toEqual([0, 0]);
  });

  test('GONE: so is one whose buffer is full, and the writer that it blocked wakes', async () => {
    const writer = new ByteWriter();
    let isDone = false;
    const open = async (): Promise<void> => {
      const readable = toReadable(writer.stream({ highWaterMark: 10, overflow: 'block' }), { highWaterMark: 10 });
      readable.on('readable', () => {});
      writer.writeSync('x'.repeat(20));
      await settle();
      expect(readable.readableLength).toBe(20);
      void writer.write('y'.repeat(20)).then(() => {
        isDone = true;
      });
      await settle();
    };
    await open();
    expect(isDone).toBe(false);
    await collectUntil(() => isDone, 'the write has gone on');
    expect(writer.streamCount).toBe(0);
  });

  test('one that is being read stays, though only its listener holds it', async () => {
    const writer = new ByteWriter();
    let text = '';
    toReadable(writer.stream()).on('data', (chunk) => {
      text += chunk;
    });
    for (const chunk of ['a', 'b', 'c']) {
      await settle();
      await collect();
      writer.writeSync(chunk);
    }
    await settle();
    expect(text).toBe('abc');
  });
});

describe('toWritable()', () => {
  test('GONE: one that is dropped is collected, and the writer stays open', async () => {
    const writer = new ByteWriter();
    const streams = new Living();
    const open = (): void => {
      streams.add(toWritable(writer)).write('some');
    };
    for (let i = 0; i < 10; i++) open();
    await collectUntil(() => channelOf(writer).endWatchers.size === 0, 'the writer has forgotten them');
    expect(await streams.count()).toBe(0);
    expect(writer.state).toBe('open');
  });
});

describe('listeners', () => {
  test('CLEAN: 1,000 responses that end, fail, go away or are cut off leave none', async () => {
    const writer = new ByteWriter();
    const { signal } = new AbortController();
    for (let i = 0; i < 1000; i++) {
      const sink = new PassThrough({ highWaterMark: 4 });
      const before = listenersOf(sink);
      const each = i % 2 === 0 ? writer : new ByteWriter();
      const stream = each.stream();
      const piped = pipeToResponse(stream, sink, { signal });
      each.writeSync('more than four');
      await settle();
      if (i % 4 === 0) sink.destroy();
      else if (i % 4 === 1) each.close();
      else if (i % 4 === 2) stream.cancel();
      else each.fail(new Error('broken'));
      sink.resume();
      await piped.catch(() => {});
      await settle();
      expect(listenersOf(sink)).toBeLessThanOrEqual(before);
    }
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect([writer.streamCount, channelOf(writer).endWatchers.size]).toEqual([0, 0]);
  });

  test('CLEAN: a Readable that ends, fails, closes or is left is free of ours', async () => {
    for (let i = 0; i < 100; i++) {
      const readable = new Readable({ read() {} });
      const before = listenersOf(readable);
      const writer = fromReadable(readable);
      readable.push('some');
      await settle();
      if (i % 4 === 0) readable.push(null);
      else if (i % 4 === 1) readable.destroy(new Error('broken'));
      else if (i % 4 === 2) readable.destroy();
      else writer.close();
      await settle();
      await settle();
      expect(writer.state).not.toBe('open');
      expect(listenersOf(readable)).toBe(before);
      expect(channelOf(writer).endWatchers.size).toBe(0);
    }
  });
});
