/** Where a transfer ends: left in the middle, behind its last byte, at its border, at a length that is not right. */

import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../../../../test/support/fake-clock.ts';
import {
  BYTES,
  bodyOf,
  type Course,
  honest,
  part,
  type Reply,
  range,
  readAll,
  SIZE,
  scene,
  strong,
} from '../../../../test/support/transfer-scene.ts';

describe('a transfer that is left in a body of unknown length', () => {
  const endless: Reply = () =>
    new Response(bodyOf({ chunks: [BYTES.slice(0, 10)], silent: true }), { headers: strong });

  test('EXACT: by return(): where it was left is not taken for the end', async () => {
    const { remote } = scene([endless]);
    const transfer = remote.transfer(0, undefined);
    await transfer.next();
    const waiting = transfer.next();
    await settle();
    await transfer.return();
    expect((await waiting).done).toBe(true);
    await settle();
    expect(remote.size).toBeUndefined();
  });

  test('EXACT: by its signal: likewise', async () => {
    const { remote } = scene([endless]);
    const controller = new AbortController();
    const transfer = remote.transfer(0, undefined, controller.signal);
    await transfer.next();
    const waiting = transfer.next();
    await settle();
    controller.abort('enough');
    await expect(waiting).rejects.toBe('enough');
    await settle();
    expect(remote.size).toBeUndefined();
  });
});

describe('behind the last byte that was promised', () => {
  const last =
    (course: Partial<Course>): Reply =>
    ({ from, to }) =>
      part(from, to, strong, course);

  test.each([{ retry: false as const }, {}])('RESUME: a failure changes nothing: all is here (%j)', async (options) => {
    const { remote, asked, told, clock } = scene([last({ fail: new Error('reset') })], options);
    const outcome = readAll(remote.transfer(0, undefined));
    await settle();
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    expect([asked.length, told, clock.pending]).toEqual([1, [], 0]);
  });

  test('RESUME: silence ends with the timeout, and is no failure', async () => {
    const { remote, asked, told, clock } = scene([last({ silent: true })], { timeout: 1000 });
    const outcome = readAll(remote.transfer(10, 30));
    await clock.advance(1000);
    expect(outcome).toEqual({ bytes: range(10, 30), done: true });
    expect([asked.length, told, clock.pending]).toEqual([1, [], 0]);
    expect(asked[0]?.init.signal?.aborted).toBe(true);
  });

  test('CLEAN: who has all bytes need not ask for the end', async () => {
    const { signal } = new AbortController();
    const { remote, asked, clock } = scene([honest]);
    const transfer = remote.transfer(0, 20, signal);
    while (transfer.position < 20) await transfer.next();
    await settle();
    expect([clock.pending, getEventListeners(signal, 'abort').length]).toEqual([0, 0]);
    await transfer.return();
    // Aborted after its last byte, a connection could not be used again.
    expect(asked[0]?.init.signal?.aborted).toBe(false);
  });

  test('CLEAN: nor wait for it', async () => {
    const { remote, asked } = scene([honest]);
    const transfer = remote.transfer(0, 20);
    while (transfer.position < 20) await transfer.next();
    await transfer.return();
    expect(asked[0]?.init.signal?.aborted).toBe(false);
  });

  test('CLEAN: of a part, silence is aborted before the next is asked for', async () => {
    const half: Reply = ({ from }) =>
      part(from, 50, { ...strong, 'content-range': 'bytes 0-49/*' }, { chunks: [BYTES.slice(0, 50)], silent: true });
    const { remote, asked, clock, told } = scene([half, honest], { timeout: 1000 });
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(1000);
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    expect([asked.map(({ init }) => init.signal?.aborted), told]).toEqual([[true, false], []]);
  });

  test('EXACT: nothing more is nothing more, also if it comes in a chunk', async () => {
    const chunks = [BYTES.slice(0, 20), new Uint8Array(0)];
    const { remote } = scene([({ from, to }) => part(from, to, strong, { chunks })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect(outcome).toEqual({ bytes: range(0, 20), done: true });
  });

  test('EXACT: more of a body is an error, also in a chunk of its own', async () => {
    const chunks = [BYTES.slice(0, 20), BYTES.slice(20, 21)];
    const { remote } = scene([({ from, to }) => part(from, to, strong, { chunks })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect([outcome.bytes, outcome.error?.code]).toEqual([range(0, 20), 'ERR_FANPIPE_BODY_TOO_LONG']);
  });
});

describe('a body of which only a part is wanted', () => {
  const tens = Array.from({ length: 10 }, (_, n) => BYTES.slice(n * 10, n * 10 + 10));
  const whole: Reply = () =>
    new Response(bodyOf({ chunks: tens }), { headers: { ...strong, 'content-length': '100' } });

  test('EXACT: is read through to it, given without empty chunks, and read no further', async () => {
    const { remote, asked, clock } = scene([whole]);
    const outcome = readAll(remote.transfer(25, 42));
    await settle();
    expect(outcome).toEqual({ bytes: range(25, 42), done: true });
    expect([remote.stats.bytesFetched, asked[0]?.init.signal?.aborted, clock.pending]).toEqual([50, true, 0]);
    expect(remote.rangeSupport).toBe('none');
    const atBorder = readAll(remote.transfer(30, 42));
    await settle();
    expect(atBorder).toEqual({ bytes: range(30, 42), done: true });
  });

  test('EXACT: says nothing of ranges where none was asked for', async () => {
    const { remote } = scene([whole], { seekable: false });
    readAll(remote.transfer(0, 20));
    await settle();
    expect(remote.rangeSupport).toBe('unknown');
  });

  test('RESUME: failures are counted from the last new byte on', async () => {
    const little: Reply = ({ from, to }) =>
      part(from, to, strong, { chunks: [BYTES.slice(from, from + 10)], fail: new Error('cut') });
    const { remote, clock, told } = scene([little], { retry: { attempts: 2 } });
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(0);
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    expect(told.map(({ attempt, offset }) => [attempt, offset])).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => [1, n * 10]),
    );
  });

  test('CLEAN: is given to nobody who has left just before', async () => {
    for (let hops = 0; hops < 20; hops++) {
      let push: (chunk: Uint8Array) => void = () => {};
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          push = (chunk) => controller.enqueue(chunk);
        },
      });
      const { remote } = scene([() => new Response(body, { headers: { ...strong, 'content-length': '100' } })]);
      const transfer = remote.transfer(0, undefined);
      const first = transfer.next();
      await settle();
      push(BYTES.slice(0, 10));
      for (let hop = 0; hop < hops; hop++) await null;
      const { position } = transfer;
      void transfer.return();
      const { done } = await first;
      expect({ hops, done, position: transfer.position }).toEqual({ hops, done: position === 0, position });
    }
  });

  test('RESUME: slower than minThroughput it is cut, and gone on with', async () => {
    const clock = new FakeClock();
    let sent = 0;
    const trickle = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          await clock.sleep(1000);
          controller.enqueue(BYTES.slice(sent, ++sent));
        },
      },
      { highWaterMark: 0 },
    );
    const headers = { ...strong, 'content-range': 'bytes 0-99/100' };
    const { remote, told } = scene([() => new Response(trickle, { status: 206, headers }), honest], {
      clock,
      minThroughput: 10,
    });
    const outcome = readAll(remote.transfer(0, undefined));
    await clock.advance(25_000);
    expect(outcome).toEqual({ bytes: range(0, SIZE), done: true });
    expect(told).toMatchObject([{ error: { code: 'ERR_FANPIPE_STALLED', kind: 'throughput' } }]);
  });
});

describe('lengths', () => {
  test.each(['identity', 'Identity', 'identity, identity', ''])('EXACT: the encoding %j is none', async (encoding) => {
    const { remote } = scene([({ from, to }) => part(from, to, { ...strong, 'content-encoding': encoding })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect(outcome).toEqual({ bytes: range(0, 20), done: true });
  });

  test.each(['gzip', 'identity, gzip', 'identityx', 'br'])('EXACT: the encoding %j is one', async (encoding) => {
    const { remote } = scene([({ from, to }) => part(from, to, { ...strong, 'content-encoding': encoding })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect([outcome.bytes, outcome.error?.code]).toEqual([[], 'ERR_FANPIPE_ENCODED_BODY']);
  });

  test('EXACT: a 416 for bytes that it says there are is no end', async () => {
    const { remote } = scene([() => new Response(null, { status: 416, headers: { 'content-range': 'bytes */100' } })]);
    const outcome = readAll(remote.transfer(5, undefined));
    await settle();
    expect([outcome.done, outcome.error?.code]).toEqual([undefined, 'ERR_FANPIPE_WRONG_RANGE']);
  });

  test('EXACT: likewise, also if the bytes that were given last lie before it', async () => {
    const unknown: Reply = ({ from, to }) =>
      part(from, to, { ...strong, 'content-range': `bytes ${from}-${to - 1}/*` });
    const none: Reply = () => new Response(null, { status: 416, headers: { 'content-range': 'bytes */40' } });
    const { remote } = scene([unknown, unknown, none]);
    const given = [readAll(remote.transfer(50, 60)), readAll(remote.transfer(0, 10))];
    await settle();
    expect(given.map(({ bytes }) => bytes)).toEqual([range(50, 60), range(0, 10)]);
    const outcome = readAll(remote.transfer(90, undefined));
    await settle();
    expect([outcome.error?.code, remote.size]).toEqual(['ERR_FANPIPE_RESOURCE_CHANGED', undefined]);
  });

  test('EXACT: a 416 that contradicts itself tells no size', async () => {
    const none: Reply = () => new Response(null, { status: 416, headers: { 'content-range': 'bytes */50' } });
    const { remote } = scene([none, honest]);
    const refused = readAll(remote.transfer(5, undefined));
    await settle();
    expect([refused.error?.code, remote.size]).toEqual(['ERR_FANPIPE_WRONG_RANGE', undefined]);
    const outcome = readAll(remote.transfer(5, undefined));
    await settle();
    expect(outcome).toEqual({ bytes: range(5, SIZE), done: true });
  });

  test('EXACT: a size that another answer tells meanwhile holds for a body under way', async () => {
    let give: (bytes: Uint8Array) => void = () => {};
    const late = new ReadableStream<Uint8Array>({
      start: (controller) => {
        give = (bytes) => controller.enqueue(bytes);
      },
    });
    const { remote } = scene([
      () => new Response(late, { headers: strong }),
      () => new Response(bodyOf({ chunks: [BYTES.slice(0, 80)] }), { headers: strong }),
    ]);
    const first = readAll(remote.transfer(0, undefined));
    await settle();
    const second = readAll(remote.transfer(10, undefined));
    await settle();
    expect([second, remote.size]).toEqual([{ bytes: range(10, 80), done: true }, 80]);
    give(BYTES.slice(0, 70));
    await settle();
    give(BYTES.slice(70, 90));
    await settle();
    expect([first.bytes, first.error?.code]).toEqual([range(0, 70), 'ERR_FANPIPE_BODY_TOO_LONG']);
  });

  test('EXACT: a range of an unknown total that goes beyond the size is a change', async () => {
    const { remote } = scene([({ from, to }) => part(from, to, { ...strong, 'content-range': 'bytes 0-49/*' })], {
      size: 40,
    });
    const outcome = readAll(remote.transfer(0, 50));
    await settle();
    expect([outcome.bytes, outcome.error?.code]).toEqual([[], 'ERR_FANPIPE_RESOURCE_CHANGED']);
  });

  test('EXACT: a Content-Length beyond the range is a body that is too long', async () => {
    const { remote } = scene([({ from, to }) => part(from, to, { ...strong, 'content-length': '21' })]);
    const outcome = readAll(remote.transfer(0, 20));
    await settle();
    expect([outcome.bytes, outcome.error?.code]).toEqual([[], 'ERR_FANPIPE_BODY_TOO_LONG']);
  });

  test('RESUME: a shorter one is a body that is too short: taken, and gone on with', async () => {
    const { remote, asked, told, clock } = scene([
      ({ from }) => part(from, 20, { ...strong, 'content-length': '10' }, { chunks: [BYTES.slice(from, from + 10)] }),
      honest,
    ]);
    const outcome = readAll(remote.transfer(0, 20));
    await clock.advance(0);
    expect(outcome).toEqual({ bytes: range(0, 20), done: true });
    expect(asked.map(({ from }) => from)).toEqual([0, 10]);
    expect(told).toMatchObject([{ error: { code: 'ERR_FANPIPE_BODY_TOO_SHORT', offset: 10, expected: 20 } }]);
  });

  test('EXACT: a 416 that puts the end before bytes that were given is a change', async () => {
    const total = (value: string): Record<string, string> => ({ ...strong, 'content-range': value });
    const { remote } = scene([
      ({ from }) => part(from, 60, total('bytes 0-59/*')),
      () => new Response(null, { status: 416, headers: { 'content-range': 'bytes */40' } }),
    ]);
    const outcome = readAll(remote.transfer(0, undefined));
    await settle();
    expect([outcome.bytes, outcome.error?.code]).toEqual([range(0, 60), 'ERR_FANPIPE_RESOURCE_CHANGED']);
    expect(remote.size).toBeUndefined();
  });
});
