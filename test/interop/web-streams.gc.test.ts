/** GONE and CLEAN for web streams: what is dropped holds no bytes, slows no write and leaves nothing on the writer. */

import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { channelOf } from '../../packages/fanpipe/src/core/base-writer.ts';
import { ByteWriter, TypedWriter } from '../../packages/fanpipe/src/index.ts';
import { collect, collectUntil, Living } from '../support/collector.ts';
import { settle } from '../support/fake-clock.ts';

const watchers = (writer: ByteWriter | TypedWriter<object>): number =>
  channelOf<unknown>(writer as never).endWatchers.size;

describe('readable()', () => {
  for (const withReader of [false, true]) {
    test(`GONE: one that is dropped ${withReader ? 'with its reader' : 'unread'} is collected, and with it its bytes`, async () => {
      const writer = new ByteWriter({ copy: false });
      const streams = new Living();
      const chunks = new Living();
      // Apart, so that no frame of this function, which goes on, holds the last of them.
      const open = (): void => {
        const readable = streams.add(writer.stream().readable());
        if (withReader) streams.add(readable.getReader());
      };
      for (let i = 0; i < 10; i++) open();
      for (let i = 0; i < 10; i++) writer.writeSync(chunks.add(new Uint8Array(1000)));
      await collectUntil(() => watchers(writer) === 0, 'the writer has forgotten them');
      expect(await streams.count()).toBe(0);
      expect(await chunks.count()).toBe(0);
      writer.close();
    });
  }

  test('GONE: one in the midst of being read is collected too', async () => {
    const writer = new ByteWriter({ copy: false });
    const streams = new Living();
    const chunks = new Living();
    const readSome = async (): Promise<void> => {
      const reader = streams.add(streams.add(writer.stream().readable()).getReader());
      for (let i = 0; i < 3; i++) {
        writer.writeSync(chunks.add(new Uint8Array(100_000)));
        expect((await reader.read()).value?.byteLength).toBe(65_536);
      }
    };
    await readSome();
    await collectUntil(() => watchers(writer) === 0, 'the writer has forgotten it');
    expect([await streams.count(), await chunks.count()]).toEqual([0, 0]);
  });

  test('GONE: one with a policy is detached, and the writer that it blocked wakes', async () => {
    const writer = new ByteWriter();
    writer.stream({ highWaterMark: 1, overflow: 'block' }).readable().getReader();
    let isDone = false;
    const write = writer.write('too much').then(() => {
      isDone = true;
    });
    expect(writer.streamCount).toBe(1);
    await collectUntil(() => isDone, 'the write has gone on');
    await write;
    expect(writer.streamCount).toBe(0);
    await collectUntil(() => watchers(writer) === 0, 'the writer has forgotten it');
  });

  test('GONE: one of values, with a signal, which is left without a listener', async () => {
    const writer = new TypedWriter<object>();
    const { signal } = new AbortController();
    const values = new Living();
    for (let i = 0; i < 10; i++) writer.stream({ signal }).readable();
    expect(getEventListeners(signal, 'abort').length).toBe(1);
    writer.writeSync(values.add({}));
    await collectUntil(() => writer.streamCount === 0, 'they are detached');
    await collectUntil(() => watchers(writer) === 0, 'the writer has forgotten them');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(await values.count()).toBe(0);
  });

  test('a read that waits keeps its web stream: it gets what is written', async () => {
    const writer = new ByteWriter();
    const waiting = writer.stream().readable().getReader().read();
    await collect();
    writer.writeSync('here');
    expect(Buffer.from((await waiting).value ?? []).toString()).toBe('here');
  });

  test('so does a pipe that waits', async () => {
    const writer = new ByteWriter();
    const written: string[] = [];
    const piped = writer
      .stream()
      .readable()
      .pipeTo(new WritableStream({ write: (chunk) => void written.push(Buffer.from(chunk).toString()) }));
    for (const chunk of ['a', 'b', 'c']) {
      await settle();
      await collect();
      writer.writeSync(chunk);
    }
    writer.close();
    await piped;
    expect(written.join('')).toBe('abc');
  });

  test('CLEAN: 10,000 that were read, cancelled or failed leave no watcher and no listener', async () => {
    const writer = new ByteWriter();
    const { signal } = new AbortController();
    for (let i = 0; i < 10_000; i++) {
      const readable = writer.stream(i % 2 === 0 ? { signal } : {}).readable();
      await readable.cancel();
    }
    expect([watchers(writer), writer.streamCount]).toEqual([0, 0]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    const readers = Array.from({ length: 100 }, () => writer.stream({ signal }).readable().getReader());
    writer.close();
    await Promise.all(readers.map((reader) => reader.closed));
    expect([watchers(writer), getEventListeners(signal, 'abort').length]).toEqual([0, 0]);
  });
});

describe('writable()', () => {
  test('GONE: one that is dropped is collected, and the writer stays open', async () => {
    const writer = new ByteWriter();
    const streams = new Living();
    for (let i = 0; i < 10; i++) streams.add(streams.add(writer.writable()).getWriter());
    await collectUntil(() => watchers(writer) === 0, 'the writer has forgotten them');
    expect(await streams.count()).toBe(0);
    expect(writer.state).toBe('open');
  });

  test('CLEAN: one that was closed or aborted leaves no watcher', async () => {
    for (const end of ['close', 'abort'] as const) {
      const writer = new ByteWriter();
      const writable = writer.writable();
      expect(watchers(writer)).toBe(1);
      await writable[end]();
      expect(watchers(writer)).toBe(0);
    }
  });
});

describe('ondrain of the iterable streams API', () => {
  test('CLEAN: a wait that is over leaves no watcher', async () => {
    const writer = new ByteWriter();
    const stream = writer.stream({ highWaterMark: 1, overflow: 'block' });
    writer.writeSync('too much');
    const drainable = writer as unknown as Record<symbol, () => Promise<boolean>>;
    const drained = drainable[Symbol.for('Stream.drainableProtocol')]?.();
    expect(watchers(writer)).toBe(1);
    stream.read();
    expect(await drained).toBe(true);
    expect(watchers(writer)).toBe(0);
  });
});
