/** A writer whose bytes are stored in the background. */
import { pipeline } from 'node:stream/promises';
import type { ByteWriter } from 'fanpipe';
import { toWritable } from 'fanpipe/node';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend, StreamState } from '../../../packages/server/src/backends/backend.ts';
import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
import { Hub } from '../../../packages/server/src/hub/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { isSettled, nextOf, readBytes } from './reading.ts';
import { type Hooks, wrapBackend } from './wrapped-backend.ts';

let clock: FakeClock;
let backend: Backend;
let hooks: Hooks;
let hub: Hub;
let appends: number;
/** Appends wait for it where it is set. */
let gate: Promise<void> | undefined;
let openGate: () => void;

beforeEach(() => {
  clock = new FakeClock();
  backend = memoryBackend({ clock });
  appends = 0;
  gate = undefined;
  hooks = {
    before: (call) => {
      if (call !== 'append') return undefined;
      appends++;
      return gate;
    },
  };
  hub = new Hub(wrapBackend(backend, hooks), { clock });
});

afterEach(() => backend.close());

function hold(): void {
  gate = new Promise((resolve) => {
    openGate = () => {
      gate = undefined;
      resolve();
    };
  });
}

async function stored(name = 's'): Promise<StreamState> {
  return (await hub.open(name)).state();
}

async function content(name = 's'): Promise<string> {
  const stream = await hub.open(name);
  return readBytes(stream.read(0), (await stream.state()).tail);
}

describe('storing', () => {
  test('creates the stream, stores all, and ends it', async () => {
    const writer = hub.writer('s');
    await writer.write('abc');
    await writer.writev(['d', new Uint8Array([101])]);
    expect(await writer.end()).toBe(5);
    expect(await stored()).toMatchObject({ tail: 5, end: { kind: 'closed' } });
    expect(await content()).toBe('abcde');
    expect(writer.state).toBe('closed');
  });

  test('ACK: flush, all that was written is acknowledged', async () => {
    const writer = hub.writer('s');
    hold();
    void writer.write('abc');
    const flushed = writer.flush();
    expect(await isSettled(flushed)).toBe(false);
    openGate();
    await flushed;
    expect(await content()).toBe('abc');
    await writer.flush();
  });

  test('what is written while appends are under way goes together', async () => {
    const writer = hub.writer('s');
    await writer.write('0');
    await writer.flush();
    hold();
    for (let i = 0; i < 500; i++) {
      void writer.write('x');
      if (i % 50 === 0) await settle();
    }
    openGate();
    await writer.flush();
    expect(appends).toBeLessThan(10);
    expect(await content()).toBe(`0${'x'.repeat(500)}`);
  });

  test('the caller may use its buffer again at once', async () => {
    const writer = hub.writer('s');
    const buffer = new Uint8Array([97, 98, 99]);
    for (let i = 0; i < 20; i++) {
      buffer.fill(97 + i);
      await writer.write(buffer);
    }
    await writer.end();
    expect(await content()).toBe([...'abcdefghijklmnopqrst'].map((letter) => letter.repeat(3)).join(''));
  });

  test('goes on with a stream that is there, whatever its type', async () => {
    await hub.create('s', { contentType: 'text/plain' }, { chunks: [new TextEncoder().encode('abc')] });
    const writer = hub.writer('s');
    await writer.write('def');
    await writer.flush();
    expect(await content()).toBe('abcdef');
    expect(writer.bytesWritten).toBe(3);
  });

  test('also if that comes to be while this writer is about to create it', async () => {
    const { before } = hooks;
    hooks.before = async (call, name) => {
      if (call === 'create') await backend.create(name, { contentType: 'text/plain' });
      return before?.(call, name);
    };
    const writer = hub.writer('s');
    await writer.write('abc');
    await writer.end();
    expect(await stored()).toMatchObject({ tail: 3, config: { contentType: 'text/plain' } });
  });

  test('two writers of one stream: each in its order', async () => {
    const [one, other] = [hub.writer('s'), hub.writer('s')];
    for (let i = 0; i < 10; i++) {
      void one.write(`${i}`);
      void other.write(String.fromCharCode(97 + i));
      await settle();
    }
    await Promise.all([one.flush(), other.flush()]);
    const text = await content();
    expect(text.replace(/[a-z]/g, '')).toBe('0123456789');
    expect(text.replace(/\d/g, '')).toBe('abcdefghij');
  });

  test('a stream that nobody wrote to is created and ended', async () => {
    await hub.writer('s', { create: { contentType: 'text/plain' } }).end();
    expect(await stored()).toMatchObject({ tail: 0, end: { kind: 'closed' }, config: { contentType: 'text/plain' } });
  });

  test('SEAM: readers see only what is acknowledged', async () => {
    const { stream } = await hub.create('s');
    const reader = stream.read(0);
    const next = nextOf(reader);
    const writer = hub.writer('s');
    hold();
    void writer.write('abc');
    expect(await isSettled(next)).toBe(false);
    openGate();
    expect(await next).toBe('abc');
  });

  test('its own streams read what it writes, at once', async () => {
    const writer = hub.writer('s');
    const stream = writer.stream();
    hold();
    void writer.write('abc');
    expect(stream.read()?.byteLength).toBe(3);
    expect(writer.streamCount).toBe(1);
    stream.cancel();
    expect(writer.streamCount).toBe(0);
    openGate();
    await writer.end();
    expect(writer.streamCount).toBe(0);
  });
});

describe.each([
  ['a web stream', (writer: ByteWriter, source: Blob) => source.stream().pipeTo(writer.writable())],
  ['a Node stream', (writer: ByteWriter, source: Blob) => pipeline(source.stream(), toWritable(writer))],
])('as %s', (_, pipe) => {
  const source = new Blob(['abc']);

  test('it is finished when all is stored', async () => {
    hold();
    const piped = pipe(hub.writer('s'), source);
    expect(await isSettled(piped)).toBe(false);
    openGate();
    await piped;
    expect(await stored()).toMatchObject({ tail: 3, end: { kind: 'closed' } });
  });

  test('what the store refuses at the end is told', async () => {
    const writer = hub.writer('s');
    let fail: ((reason: Error) => void) | undefined;
    hooks.before = (call) => (call === 'append' ? new Promise((_, reject) => (fail = reject)) : undefined);
    const piped = pipe(writer, source);
    while (writer.state === 'open' || fail === undefined) await settle();
    fail(new Error('broken'));
    await expect(piped).rejects.toThrow('broken');
  });

  test('what the store refuses before the end is the cause of what is told', async () => {
    hooks.before = (call) => {
      if (call === 'append') throw new Error('broken');
    };
    const endless = new Blob([new Uint8Array(4 * 1024 * 1024)]);
    await expect(pipe(hub.writer('s'), endless)).rejects.toMatchObject({ cause: { message: 'broken' } });
  });
});

describe('every way to write and to end', () => {
  const bytes = new Uint8Array([97, 98, 99]);
  const closed = { tail: 3, end: { kind: 'closed' } };
  test.each<[string, (writer: ByteWriter) => unknown, object]>([
    ['write', (writer) => void writer.write(bytes.buffer).then(() => writer.close()), closed],
    ['write, without a copy', (writer) => void writer.write(bytes, { copy: false }).then(() => writer.close()), closed],
    ['writeSync, endSync', (writer) => [writer.writeSync('abc'), writer.endSync()], closed],
    ['writev, end', (writer) => void writer.writev(['a', bytes.subarray(1)]).then(() => writer.end()), closed],
    ['writevSync, close', (writer) => [writer.writevSync(['a', '', 'bc']), writer.close()], closed],
    ['a writer with an offset', (writer) => [writer.writeSync('abc'), writer.endSync()], closed],
    [
      'leaving a block',
      (writer) => [writer.writeSync('abc'), (writer as unknown as { [Symbol.dispose](): void })[Symbol.dispose]()],
      { tail: 3, end: { kind: 'failed' } },
    ],
  ])('%s', async (name, use, expected) => {
    const writer = hub.writer('s', name.includes('offset') ? { offset: 1_000, replay: 'all' } : {});
    use(writer);
    await settle();
    expect(await stored()).toMatchObject(expected);
    expect(await content()).toBe('abc');
    expect(writer.bytesWritten).toBe(3);
  });
});

test('streams are counted while it ends, whatever is acknowledged by then', async () => {
  const writer = hub.writer('s');
  await writer.write('ab');
  await writer.flush();
  const [attached, read] = [writer.stream(), writer.stream()];
  hold();
  void writer.write('c');
  writer.close();
  expect(read.read()?.byteLength).toBe(1);
  expect(read.read()).toBeNull();
  await settle();
  expect(writer.streamCount).toBe(1);
  openGate();
  hold();
  await settle();
  expect(writer.streamCount).toBe(1);
  openGate();
  expect(await writer.end()).toBe(3);
  expect(writer.streamCount).toBe(1);
  attached.cancel();
  expect(writer.streamCount).toBe(0);
});

describe('backpressure', () => {
  test('a write waits while more than the mark is not acknowledged', async () => {
    const writer = hub.writer('s', { highWaterMark: 10 });
    hold();
    expect(writer.desiredSize).toBe(10);
    expect(await isSettled(writer.write('12345'))).toBe(true);
    expect(await isSettled(writer.write('67890'))).toBe(true);
    expect([writer.desiredSize, writer.canWrite]).toEqual([0, true]);
    const over = writer.write('!');
    expect(await isSettled(over)).toBe(false);
    expect([writer.desiredSize, writer.canWrite, writer.writeSync('?')]).toEqual([0, false, false]);
    openGate();
    await over;
    await writer.flush();
    expect(writer.desiredSize).toBe(10);
    await writer.end();
    expect(await content()).toBe('1234567890!');
  });

  test('a source is read no faster than it is stored', async () => {
    const writer = hub.writer('s', { highWaterMark: 100 });
    hold();
    let given = 0;
    const source = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        given += 10;
        controller.enqueue(new Uint8Array(10));
        if (given === 1_000) controller.close();
      },
    });
    const piped = source.pipeTo(writer.writable());
    await settle();
    expect(given).toBeLessThan(200);
    openGate();
    await piped;
    await writer.end();
    expect(await stored()).toMatchObject({ tail: 1_000, end: { kind: 'closed' } });
  });
});

describe('ends', () => {
  test('fail: the stored stream fails after all bytes, with the reason as text', async () => {
    const writer = hub.writer('s');
    void writer.write('abc');
    writer.fail(new Error('the source broke'));
    await expect(writer.end()).rejects.toMatchObject({ code: 'ERR_FANPIPE_WRITER_ENDED' });
    expect(await stored()).toMatchObject({ tail: 3, end: { kind: 'failed', reason: 'the source broke' } });
  });

  test.each([
    ['text', 'text'],
    [undefined, expect.any(String)],
    [new Error(''), 'Error'],
    [Object.create(null), 'unknown'],
    ['', 'unknown'],
    [404, '404'],
  ])('a reason %s is stored as %s', async (reason, text) => {
    const writer = hub.writer('s');
    writer.fail(reason);
    await writer.end().catch(() => {});
    expect((await stored()).end).toEqual({ kind: 'failed', reason: text });
  });

  test('a signal that fires fails the stored stream', async () => {
    const controller = new AbortController();
    const writer = hub.writer('s', { signal: controller.signal });
    await writer.write('abc');
    controller.abort(new Error('enough'));
    await writer.end().catch(() => {});
    expect(await stored()).toMatchObject({ tail: 3, end: { kind: 'failed', reason: 'enough' } });
  });

  test('end waits for the end to be acknowledged', async () => {
    const writer = hub.writer('s');
    await writer.write('abc');
    await writer.flush();
    hold();
    const ended = writer.end();
    expect(await isSettled(ended)).toBe(false);
    expect((await stored()).end).toBeUndefined();
    openGate();
    expect(await ended).toBe(3);
  });
});

describe('what the store refuses', () => {
  test('a stream that must be there, and is not', async () => {
    const writer = hub.writer('s', { create: false });
    await expect(writer.end()).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_NOT_FOUND' });
    await expect(hub.open('s')).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_NOT_FOUND' });
  });

  test('a stream that must be like this, and is not', async () => {
    await hub.create('s', { contentType: 'text/plain' });
    const writer = hub.writer('s', { create: { contentType: 'text/html' } });
    await settle();
    expect(writer.state).toBe('failed');
    await expect(writer.write('x')).rejects.toMatchObject({
      code: 'ERR_FANPIPE_WRITER_ENDED',
      cause: { code: 'ERR_FANPIPE_STREAM_EXISTS' },
    });
  });

  test('an append that fails: waits, flushes, streams and the end say so, and nothing more is stored', async () => {
    const writer = hub.writer('s', { highWaterMark: 2 });
    await writer.write('a');
    await writer.flush();
    const stream = writer.stream();
    const broken = { message: 'broken' };
    hooks.before = (call) => {
      if (call === 'append') throw new Error('broken');
    };
    const waiting = expect(writer.write('bcd')).rejects.toMatchObject(broken);
    const flushed = expect(writer.flush()).rejects.toMatchObject(broken);
    await waiting;
    await flushed;
    await expect(stream.text()).rejects.toMatchObject(broken);
    hooks.before = () => {};
    await expect(writer.write('e')).rejects.toMatchObject({ code: 'ERR_FANPIPE_WRITER_ENDED' });
    await expect(writer.end()).rejects.toMatchObject(broken);
    expect(await content()).toBe('a');
    expect((await stored()).end).toBeUndefined();
  });

  test('a failure after close: end says so, and the stream is not closed', async () => {
    const writer = hub.writer('s');
    await writer.write('a');
    await writer.flush();
    hooks.before = (call) => {
      if (call === 'append') throw new Error('broken');
    };
    void writer.write('b');
    writer.close();
    await expect(writer.end()).rejects.toThrow('broken');
    expect(await stored()).toMatchObject({ tail: 1, end: undefined });
  });

  test('a stream that somebody has closed', async () => {
    const writer = hub.writer('s');
    await writer.write('a');
    await writer.flush();
    await (await hub.open('s')).append([], { end: { kind: 'closed' } });
    void writer.write('b');
    await expect(writer.flush()).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_ENDED' });
    expect(writer.state).toBe('failed');
  });

  test('a stream that somebody has closed may be closed again', async () => {
    const writer = hub.writer('s');
    await writer.write('a');
    await writer.flush();
    await (await hub.open('s')).append([], { end: { kind: 'closed' } });
    expect(await writer.end()).toBe(1);
  });

  test('a stream that is deleted', async () => {
    const writer = hub.writer('s');
    await writer.write('a');
    await writer.flush();
    await hub.delete('s');
    void writer.write('b');
    await expect(writer.end()).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_DELETED' });
  });

  test('nothing is left unhandled when nobody asks', async () => {
    hub.writer('s', { create: false });
    await settle();
  });

  test('nor when nobody waits for room', async () => {
    const writer = hub.writer('s', { highWaterMark: 2 });
    hooks.before = (call) => {
      if (call === 'append') throw new Error('broken');
    };
    void writer.write('abc');
    void writer.writev(['d', 'e']);
    await expect(writer.end()).rejects.toThrow('broken');
    await settle();
  });
});

test.each(['before it', 'after it'] as const)(
  'close of the hub: an end that was asked for %s is stored too',
  async (when) => {
    const writer = hub.writer('s');
    await writer.write('abc');
    await writer.flush();
    hold();
    if (when === 'after it') void writer.write('d');
    const ended = when === 'before it' ? writer.end() : undefined;
    const closed = hub.close();
    await settle();
    const late = ended ?? writer.end();
    openGate();
    expect(await late).toBe(when === 'before it' ? 3 : 4);
    await closed;
    expect(await writer.end()).toBe(when === 'before it' ? 3 : 4);
    expect(await (await backend.open('s'))?.state()).toMatchObject({ end: { kind: 'closed' } });
  },
);

test('close of the hub with a signal: writers on a store that does not answer are told when it fires', async () => {
  const writer = hub.writer('s');
  await writer.write('abc');
  await writer.flush();
  hold();
  void writer.write('d');
  const lost = { code: 'ERR_FANPIPE_SERVER_CLOSED' };
  const flushed = expect(writer.flush()).rejects.toMatchObject(lost);
  const ended = expect(writer.end()).rejects.toMatchObject(lost);
  const controller = new AbortController();
  const closed = hub.close({ signal: controller.signal });
  expect(await isSettled(closed)).toBe(false);
  controller.abort();
  await closed;
  await flushed;
  await ended;
  openGate();
});

test('close of the hub: what was written is stored, the writer fails, and the stored stream stays open', async () => {
  const writer = hub.writer('s');
  hold();
  void writer.write('abc');
  const closed = hub.close();
  expect(await isSettled(closed)).toBe(false);
  openGate();
  await closed;
  await expect(writer.write('d')).rejects.toMatchObject({ cause: { code: 'ERR_FANPIPE_SERVER_CLOSED' } });
  await expect(writer.end()).rejects.toMatchObject({ code: 'ERR_FANPIPE_SERVER_CLOSED' });
  const state = await (await backend.open('s'))?.state();
  expect(state).toMatchObject({ tail: 3, end: undefined });
});
