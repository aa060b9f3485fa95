/** What changes streams: create, append in one and in pieces, close, fail, fork, delete. */
import { describe, expect, test } from 'vitest';
import { memoryBackend } from '../../../packages/server/src/backends/index.ts';
import { RequestBrokenError, StorageError } from '../../../packages/server/src/errors.ts';
import { settle } from '../../support/fake-clock.ts';
import { type BackendCall, wrapBackend } from '../hub/wrapped-backend.ts';
import { bytesOf, Call, HttpRig, tokenAt } from './http-rig.ts';

async function quiet(): Promise<void> {
  for (let i = 0; i < 5; i++) await settle();
}

/** A body that comes when the test says so. */
class Upload implements AsyncIterable<Uint8Array> {
  /** Whether whoever read it has stopped before its end. */
  isStopped = false;
  readonly #chunks: (Uint8Array | Error | undefined)[] = [];
  #wake = (): void => {};

  push(text: string): void {
    this.#put(bytesOf(text));
  }

  end(): void {
    this.#put(undefined);
  }

  fail(error: Error): void {
    this.#put(error);
  }

  #put(chunk: Uint8Array | Error | undefined): void {
    this.#chunks.push(chunk);
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    let isWhole = false;
    try {
      for (;;) {
        while (this.#chunks.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
        const chunk = this.#chunks.shift();
        if (chunk instanceof Error) throw chunk;
        if (chunk === undefined) break;
        yield chunk;
      }
      isWhole = true;
    } finally {
      this.isStopped = !isWhole;
    }
  }
}

describe('create', () => {
  test('says where and what it is; again it is the same, otherwise it is refused', async () => {
    const rig = new HttpRig();
    const created = await rig.create('a/b', 'text/plain', 'first', { 'stream-ttl': '60' });
    expect([created.header('location'), created.header('content-type'), created.next]).toEqual([
      'http://test/v1/stream/a/b',
      'text/plain',
      tokenAt(1, 5),
    ]);
    const put = (headers: Record<string, string>): Promise<number> =>
      rig.call('PUT a/b', { headers }).then(({ status }) => status);
    expect(await put({ 'content-type': 'TEXT/plain', 'stream-ttl': '60' })).toBe(200);
    expect(await put({ 'content-type': 'text/plain;charset=UTF-8', 'stream-ttl': '60' })).toBe(200);
    expect(await put({ 'content-type': 'text/html', 'stream-ttl': '60' })).toBe(409);
    expect(await put({ 'content-type': 'text/plain' })).toBe(409);
    expect(await put({ 'content-type': 'text/plain', 'stream-ttl': '60', 'stream-closed': 'true' })).toBe(409);
    expect(await (await rig.call('GET a/b')).text()).toBe('first');
  });

  test('without a type it holds bytes', async () => {
    const rig = new HttpRig();
    expect((await rig.call('PUT a')).header('content-type')).toBe('application/octet-stream');
  });

  test('closed at once, with all it will ever have', async () => {
    const rig = new HttpRig();
    const created = await rig.create('a', 'application/json', '[1,2]', { 'stream-closed': 'TRUE' });
    expect(created.header('stream-closed')).toBe('true');
    const read = await rig.call('GET a');
    expect([await read.text(), read.header('stream-closed')]).toEqual(['[1,2]', 'true']);
    expect((await rig.append('a', '3', 'application/json')).status).toBe(409);
  });
});

describe('append', () => {
  test('is 204 and says where the stream ends', async () => {
    const rig = new HttpRig();
    await rig.create('a');
    const answer = await rig.append('a', 'hello');
    expect([answer.status, answer.next, answer.header('stream-closed')]).toEqual([204, tokenAt(1, 5), undefined]);
  });

  test('what readers see is what was appended, at any length of body', async () => {
    const rig = new HttpRig({ limits: { maxBodyBytes: 100 } });
    await rig.create('a');
    expect((await rig.append('a', 'x'.repeat(100))).status).toBe(204);
    expect((await rig.append('a', 'x'.repeat(101))).status).toBe(413);
    expect(await (await rig.call('GET a')).bytes()).toHaveLength(100);
  });

  test('a body that is declared too long is refused before it is read, one that is not where it becomes so', async () => {
    const rig = new HttpRig({ limits: { maxBodyBytes: 10 } });
    await rig.create('a');
    const huge = new Call('POST a', { headers: { 'content-type': 'text/plain' }, bodyLength: 10_737_418_240 });
    expect((await rig.call(huge)).status).toBe(413);
    expect(huge.bodies).toBe(0);
    await rig.create('j', 'application/json');
    const upload = new Upload();
    const endless = rig.append('j', upload, 'application/json');
    for (let i = 0; i < 4; i++) upload.push('[1,');
    expect((await endless).status).toBe(413);
    expect(upload.isStopped).toBe(true);
    expect((await rig.call('PUT p', { body: 'x'.repeat(11) })).status).toBe(413);
    expect((await rig.call('HEAD p')).status).toBe(404);
  });

  test('an ended stream refuses it: closed and failed told apart, before any other conflict', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'x', { 'stream-closed': 'true' });
    for (const type of ['text/plain', 'text/html']) {
      const answer = await rig.append('a', 'y', type);
      expect([answer.status, answer.header('stream-closed'), answer.next]).toEqual([409, 'true', tokenAt(1, 1)]);
    }
    await rig.create('f', 'text/plain', 'x');
    await rig.call('POST f', { headers: { 'stream-error': 'why' } });
    const answer = await rig.append('f', 'y');
    expect([answer.status, answer.header('stream-closed'), answer.header('stream-error')]).toEqual([
      409,
      undefined,
      'why',
    ]);
  });

  test('a producer is answered by what became of it', async () => {
    const rig = new HttpRig();
    await rig.create('a');
    const send = async (
      epoch: number,
      seq: number,
      body = 'x',
      more: Record<string, string> = {},
    ): Promise<unknown[]> => {
      const headers = { 'producer-id': 'p', 'producer-epoch': String(epoch), 'producer-seq': String(seq), ...more };
      const answer = await rig.append('a', body, 'text/plain', headers);
      return [
        answer.status,
        answer.header('producer-epoch'),
        answer.header('producer-seq'),
        answer.header('producer-expected-seq'),
        answer.header('producer-received-seq'),
      ];
    };
    expect(await send(0, 0)).toEqual([200, '0', '0', undefined, undefined]);
    expect(await send(0, 1)).toEqual([200, '0', '1', undefined, undefined]);
    expect(await send(0, 0)).toEqual([204, '0', '1', undefined, undefined]);
    expect(await send(0, 5)).toEqual([409, undefined, undefined, '2', '5']);
    expect(await send(1, 1)).toEqual([400, undefined, undefined, undefined, undefined]);
    expect(await send(1, 0)).toEqual([200, '1', '0', undefined, undefined]);
    expect(await send(0, 2)).toEqual([403, '1', undefined, undefined, undefined]);
    expect(await send(1, 1, '', { 'stream-closed': 'true' })).toEqual([204, '1', '1', undefined, undefined]);
    expect(await send(1, 1, '', { 'stream-closed': 'true' })).toEqual([204, '1', '1', undefined, undefined]);
    expect(await send(0, 9)).toEqual([403, '1', undefined, undefined, undefined]);
    expect((await send(1, 2))[0]).toBe(409);
    expect(await (await rig.call('GET a')).text()).toBe('xxx');
  });
});

describe('append in pieces', () => {
  test('readers see a body while it arrives', async () => {
    const rig = new HttpRig();
    await rig.create('a');
    const reader = await rig.follow('a?offset=now&live=sse');
    const upload = new Upload();
    const answer = rig.append('a', upload);
    upload.push('one');
    await reader.until(({ data }) => data === 'one');
    upload.push(' two');
    await reader.until(({ data }) => data === 'one two');
    upload.end();
    expect([(await answer).status, (await answer).next]).toEqual([204, tokenAt(1, 7)]);
  });

  test('may close the stream at its end, and may be longer than any body that is collected', async () => {
    const rig = new HttpRig({ limits: { maxBodyBytes: 10 } });
    await rig.create('a');
    const upload = new Upload();
    const answer = rig.append('a', upload, 'text/plain', { 'stream-closed': 'true' });
    for (let i = 0; i < 100; i++) upload.push('x'.repeat(100_000));
    upload.end();
    expect([(await answer).status, (await answer).header('stream-closed'), (await answer).next]).toEqual([
      204,
      'true',
      tokenAt(1, 10_000_000),
    ]);
    expect((await rig.call('HEAD a')).header('stream-closed')).toBe('true');
  });

  test('what came before the client broke off stays, and the stream stays open', async () => {
    const rig = new HttpRig();
    await rig.create('a');
    const upload = new Upload();
    const answer = rig.append('a', upload, 'text/plain', { 'stream-closed': 'true' });
    upload.push('part');
    await quiet();
    upload.fail(new RequestBrokenError('broke off'));
    expect((await answer).status).toBe(400);
    const read = await rig.call('GET a');
    expect([await read.text(), read.header('stream-closed')]).toEqual(['part', undefined]);
    expect(rig.faults).toEqual([]);
  });

  test('leaves no hole: after a piece that the store could not take, none is taken', async () => {
    let isBroken = false;
    const before = (call: BackendCall): void => {
      if (isBroken && call === 'append') throw new StorageError('broken');
    };
    const rig = new HttpRig({ backend: wrapBackend(memoryBackend({ firstGeneration: 1 }), { before }) });
    await rig.create('a');
    const upload = new Upload();
    const answer = rig.append('a', upload, 'text/plain', { 'stream-closed': 'true' });
    upload.push('one ');
    await quiet();
    isBroken = true;
    upload.push('two ');
    await quiet();
    isBroken = false;
    upload.push('three');
    upload.end();
    expect((await answer).status).toBe(503);
    expect(upload.isStopped).toBe(true);
    const read = await rig.call('GET a');
    expect([await read.text(), read.header('stream-closed')]).toEqual(['one ', undefined]);
  });

  test('a stream that ends meanwhile, or is of another type, refuses the rest unread', async () => {
    const rig = new HttpRig();
    await rig.create('a');
    const upload = new Upload();
    const answer = rig.append('a', upload);
    upload.push('part');
    await quiet();
    await rig.call('POST a', { headers: { 'stream-closed': 'true' } });
    upload.push('x'.repeat(2_000_000));
    expect([(await answer).status, (await answer).header('stream-closed')]).toEqual([409, 'true']);
    expect(upload.isStopped).toBe(true);
    await rig.create('b');
    const other = new Upload();
    other.push('x');
    expect((await rig.append('b', other, 'text/html')).status).toBe(409);
    expect(other.isStopped).toBe(true);
  });

  test('one that writes a little at a time hears of the end of the stream by its next piece', async () => {
    const rig = new HttpRig();
    await rig.create('a');
    const upload = new Upload();
    const answer = rig.append('a', upload);
    upload.push('1');
    await quiet();
    await rig.call('POST a', { headers: { 'stream-closed': 'true' } });
    for (let i = 0; i < 2; i++) {
      upload.push('2');
      await quiet();
    }
    expect(upload.isStopped).toBe(true);
    expect([(await answer).status, (await answer).header('stream-closed')]).toEqual([409, 'true']);
    expect(await (await rig.call('GET a')).text()).toBe('1');
  });

  test('while the store stands still a body is read no further than a few thousand pieces, however small', async () => {
    let answer = (): void => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const before = (call: BackendCall): Promise<void> | undefined => (call === 'append' ? answered : undefined);
    const rig = new HttpRig({ backend: wrapBackend(memoryBackend({ firstGeneration: 1 }), { before }) });
    await rig.create('a');
    let read = 0;
    const body = async function* (): AsyncGenerator<Uint8Array> {
      for (; read < 10_000; read++) yield bytesOf('x');
    };
    const appended = rig.append('a', body());
    await quiet();
    let last = -1;
    while (read !== last) {
      last = read;
      await quiet();
    }
    expect(read).toBeGreaterThan(1000);
    expect(read).toBeLessThan(5000);
    answer();
    expect([(await appended).status, (await appended).next]).toEqual([204, tokenAt(1, 10_000)]);
  });

  test('what does not fit is refused with all behind it, and what came before stays', async () => {
    const rig = new HttpRig({ limits: { maxStreamBytes: 10 } });
    await rig.create('a');
    const upload = new Upload();
    for (let i = 0; i < 6; i++) upload.push('12345');
    upload.end();
    expect((await rig.append('a', upload)).status).toBe(413);
    expect(await (await rig.call('GET a')).text()).toBe('1234512345');
  });

  test('an empty one is refused, or only closes', async () => {
    const rig = new HttpRig();
    await rig.create('a');
    const empty = new Upload();
    empty.push('');
    empty.end();
    expect((await rig.append('a', empty)).status).toBe(400);
    const close = new Upload();
    close.end();
    const answer = await rig.call('POST a', { headers: { 'stream-closed': 'true' }, body: close });
    expect([answer.status, answer.header('stream-closed')]).toEqual([204, 'true']);
  });

  test('messages, and bodies that have a number, are collected: all of them or nothing', async () => {
    const rig = new HttpRig();
    await rig.create('j', 'application/json');
    const json = new Upload();
    const answer = rig.append('j', json, 'application/json');
    json.push('[1,');
    await quiet();
    expect(await (await rig.call('GET j')).text()).toBe('[]');
    json.push('2]');
    json.end();
    expect((await answer).status).toBe(204);
    expect(await (await rig.call('GET j')).text()).toBe('[1,2]');
    await rig.create('a');
    for (const headers of [{ 'stream-seq': '1' }, { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': '0' }]) {
      const upload = new Upload();
      const broken = rig.append('a', upload, 'text/plain', headers as Record<string, string>);
      upload.push('part');
      await quiet();
      upload.fail(new RequestBrokenError('broke off'));
      expect((await broken).status).toBe(400);
    }
    expect(await (await rig.call('GET a')).text()).toBe('');
  });
});

describe('close and fail', () => {
  test('closing is idempotent, whatever type it says', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'x');
    for (let i = 0; i < 2; i++) {
      const answer = await rig.call('POST a', { headers: { 'stream-closed': 'True', 'content-type': 'image/png' } });
      expect([answer.status, answer.header('stream-closed'), answer.next]).toEqual([204, 'true', tokenAt(1, 1)]);
    }
  });

  test('failing is idempotent, and neither can undo the other', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'text/plain', 'x');
    const post = (headers: Record<string, string>, body?: string): ReturnType<HttpRig['call']> =>
      rig.call('POST a', { headers, body });
    expect((await post({ 'stream-error': 'why', 'content-type': 'text/plain' }, 'body')).status).toBe(400);
    expect((await post({ 'stream-error': 'why', 'stream-closed': 'true' })).status).toBe(400);
    for (let i = 0; i < 2; i++) {
      const answer = await post({ 'stream-error': 'why' });
      expect([answer.status, answer.header('stream-error'), answer.header('stream-closed')]).toEqual([
        204,
        'why',
        undefined,
      ]);
    }
    const closing = await post({ 'stream-closed': 'true' });
    expect([closing.status, closing.header('stream-error'), closing.header('stream-closed')]).toEqual([
      409,
      'why',
      undefined,
    ]);
    await rig.create('b', 'text/plain', 'x', { 'stream-closed': 'true' });
    const failing = await rig.call('POST b', { headers: { 'stream-error': 'why' } });
    expect([failing.status, failing.header('stream-closed')]).toEqual([409, 'true']);
  });
});

describe('fork', () => {
  const fork = (source: string, more: Record<string, string> = {}): { headers: Record<string, string> } => ({
    headers: { 'stream-forked-from': `/v1/stream/${source}`, ...more },
  });

  test('shows its source up to where it left it, under the same offsets', async () => {
    const rig = new HttpRig();
    const first = (await rig.create('a', 'text/plain', 'one ')).next;
    await rig.append('a', 'two');
    const forked = await rig.call('PUT b', fork('a', { 'stream-fork-offset': first }));
    expect([forked.status, forked.next, forked.header('content-type')]).toEqual([201, first, 'text/plain']);
    expect((await rig.call('PUT c', fork('a', { 'content-type': 'text/plain; charset=utf-8' }))).status).toBe(201);
    expect((await rig.call('PUT d', fork('a', { 'content-type': 'text/html' }))).status).toBe(409);
    const appended = await rig.append('b', 'more');
    expect(appended.next).toBe(tokenAt(2, 8));
    const read = await rig.call('GET b');
    expect([await read.text(), read.next]).toEqual(['one more', tokenAt(2, 8)]);
    expect(await (await rig.call(`GET b?offset=${first}`)).text()).toBe('more');
    // The source has gone on elsewhere.
    expect((await rig.call(`GET b?offset=${tokenAt(1, 7)}`)).status).toBe(400);
    expect((await rig.call(`GET a?offset=${tokenAt(2, 8)}`)).status).toBe(410);
  });

  test('again it is the same, also after its source has gone', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'application/json', '[1,2,3]');
    const options = fork('a', { 'stream-fork-offset': tokenAt(0, 0), 'stream-fork-sub-offset': '2' });
    expect((await rig.call('PUT b', options)).status).toBe(201);
    await rig.append('b', '9', 'application/json');
    expect((await rig.call('PUT b', options)).status).toBe(200);
    expect((await rig.call('DELETE a')).status).toBe(204);
    expect((await rig.call('PUT b', options)).status).toBe(200);
    expect(
      (await rig.call('PUT b', fork('a', { 'stream-fork-offset': tokenAt(0, 0), 'stream-fork-sub-offset': '1' })))
        .status,
    ).toBe(409);
    expect(await (await rig.call('GET b')).text()).toBe('[1,2,9]');
    expect((await rig.call('PUT c', fork('a'))).status).toBe(409);
    expect((await rig.call('PUT a')).status).toBe(409);
    expect((await rig.call('GET a')).status).toBe(410);
  });

  test.each([
    ['text/plain', 'abc', 'defgh'],
    ['application/json', '1', '[2,3,4]'],
  ])('again it is the same (%s), though it has let go of what was where it begins', async (type, first, more) => {
    const rig = new HttpRig({ retention: { retainBytes: 4 } });
    const { next } = await rig.create('a', type, first);
    const options = fork('a', { 'stream-fork-offset': next });
    expect((await rig.call('PUT b', options)).status).toBe(201);
    for (let i = 0; i < 2; i++) await rig.append('b', more, type);
    expect((await rig.call('HEAD b')).header('stream-oldest-offset')).not.toBeUndefined();
    expect((await rig.call('PUT b', options)).status).toBe(200);
    const other = fork('a', { 'stream-fork-offset': tokenAt(0, 0) });
    expect((await rig.call('PUT b', other)).status).toBe(409);
  });

  test('OFFSET: is of the stream that the offset is of, not of another that has its name meanwhile', async () => {
    const inner = memoryBackend({ firstGeneration: 1 });
    let looks = 0;
    const before = async (call: BackendCall, name: string): Promise<void> => {
      if (call !== 'open' || name !== 'a' || ++looks !== 2) return;
      await inner.delete('a');
      await inner.create('a', { contentType: 'text/plain' }, { chunks: [bytesOf('of somebody else')] });
    };
    const rig = new HttpRig({ backend: wrapBackend(inner, { before }) });
    const { next } = await rig.create('a', 'text/plain', 'mine');
    looks = 0;
    const answer = await rig.call('PUT b', fork('a', { 'stream-fork-offset': next }));
    expect([looks, answer.status]).toEqual([2, 404]);
    expect((await rig.call('GET b')).status).toBe(404);
  });

  test('never inside of a message', async () => {
    const rig = new HttpRig();
    await rig.create('a', 'application/json', '[11,22]');
    expect((await rig.call('PUT b', fork('a', { 'stream-fork-offset': tokenAt(1, 1) }))).status).toBe(400);
    expect((await rig.call('PUT b', fork('a', { 'stream-fork-offset': tokenAt(1, 3) }))).status).toBe(201);
  });

  test('the right to read the source is needed', async () => {
    const asked: string[] = [];
    const rig = new HttpRig({
      authorize: (_, action, name) => {
        asked.push(`${action} ${name}`);
        return !(action === 'read' && name === 'secret');
      },
    });
    await rig.create('secret', 'text/plain', 'x');
    expect((await rig.call('PUT mine', fork('secret'))).status).toBe(403);
    expect(asked.slice(-2)).toEqual(['create mine', 'read secret']);
    expect((await rig.call('HEAD mine')).status).toBe(404);
  });
});

describe('delete', () => {
  test('OFFSET: a stream of the same name is another one: old offsets are gone, no old byte is seen', async () => {
    const rig = new HttpRig();
    const old = (await rig.create('a', 'text/plain', 'old bytes')).next;
    expect((await rig.call('DELETE a')).status).toBe(204);
    expect((await rig.call('DELETE a')).status).toBe(404);
    expect((await rig.call('GET a')).status).toBe(404);
    await rig.create('a', 'text/plain', 'new');
    for (const live of ['', '&live=long-poll', '&live=sse', '&live=raw']) {
      const answer = await rig.call(`GET a?offset=${old}${live}`);
      expect([answer.status, answer.header('stream-oldest-offset')]).toEqual([410, tokenAt(0, 0)]);
    }
    expect(await (await rig.call('GET a')).text()).toBe('new');
  });
});
