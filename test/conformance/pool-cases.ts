/** `fanpipe/pool`: sources that the case itself feeds, so that nothing depends on time. */
import { type ByteStream, ByteWriter } from 'fanpipe';
import { StreamPool } from 'fanpipe/pool';
import { equal, ok, rejects, same, sameText, throws } from './assert.ts';
import { encode } from './bytes.ts';
import { test } from './case.ts';
import { FakeClock } from './fake-clock.ts';
import { type Case, turn } from './harness.ts';

/** A source that the case feeds. */
class Feed {
  readonly writer: ByteWriter = new ByteWriter({ replay: 'all' });
  opened = 0;
  signal: AbortSignal | undefined;

  readonly open = ({ signal }: { signal: AbortSignal }): ByteStream => {
    this.opened++;
    this.signal = signal;
    return this.writer.stream({ from: 'start' });
  };
}

async function next(stream: ByteStream): Promise<string> {
  for (;;) {
    const chunk = stream.read();
    if (chunk === null) return '(end)';
    if (chunk !== undefined) return new TextDecoder().decode(chunk);
    await turn();
  }
}

const NEVER = (): never => {
  throw new Error('the source was opened again');
};

export const poolCases: readonly Case[] = [
  test('pool ONCE: concurrent opens share one source', async () => {
    const pool = new StreamPool();
    const feed = new Feed();
    const texts = Array.from({ length: 100 }, () => pool.open('key', feed.open).text());
    await turn();
    feed.writer.writev(['one ', 'source']);
    feed.writer.close();
    for (const text of await Promise.all(texts)) equal(text, 'one source', 'text');
    equal(feed.opened, 1, 'sources');
    equal(await pool.open('key', NEVER).text(), 'one source', 'from the pool');
    const { hits, misses, readers, entries } = pool.stats();
    same([hits, misses, readers], [100, 1, 0], 'hits, misses, readers');
    same([entries[0]?.state, entries[0]?.bytes], ['complete', 10], 'the entry');
    pool.close();
  }),

  test('pool FIRST: followers get the first byte at once, late ones too', async () => {
    const pool = new StreamPool();
    const feed = new Feed();
    const first = pool.open('key', feed.open);
    const second = pool.open('key', feed.open);
    await turn();
    feed.writer.writeSync('first');
    equal(await next(first), 'first', 'the first reader');
    equal(await next(second), 'first', 'a follower, though the source goes on');
    const late = pool.open('key', NEVER);
    equal(await next(late), 'first', 'a late joiner');
    equal(pool.stats().entries[0]?.state, 'filling', 'state');
    feed.writer.writeSync(' last');
    feed.writer.close();
    for (const stream of [first, second, late]) equal(await stream.text(), ' last', 'the rest');
    pool.close();
  }),

  test('pool WHOLE: a source that fails is never complete, and the next open starts afresh', async () => {
    const pool = new StreamPool();
    const feed = new Feed();
    const reason = new Error('broken');
    const streams = [pool.open('key', feed.open), pool.open('key', feed.open)];
    const sleeper = pool.open('key', feed.open);
    await turn();
    feed.writer.writeSync('half');
    feed.writer.fail(reason);
    for (const stream of streams) {
      const iterator = stream[Symbol.asyncIterator]();
      sameText((await iterator.next()).value, 'half', 'what came');
      await rejects(iterator.next(), reason, 'then the very error of the source');
    }
    const again = new Feed();
    again.writer.writeSync('whole');
    again.writer.close();
    equal(await pool.open('key', again.open).text(), 'whole', 'afresh, though somebody still reads the old one');
    equal(again.opened, 1, 'sources');
    sameText(sleeper.read(), 'half', 'who still reads the old one');
    throws(() => sleeper.read(), reason, 'gets no more of it');
    pool.close();
  }),

  test('pool WHOLE: an opener that throws fails its readers, not the caller', async () => {
    const pool = new StreamPool();
    const reason = new Error('no such thing');
    const stream = pool.open('key', () => {
      throw reason;
    });
    await rejects(stream.bytes(), reason, 'thrown');
    await rejects(pool.open('key', () => Promise.reject(reason)).bytes(), reason, 'rejected');
    const notFound = () => new Response('not here', { status: 404 });
    await rejects(pool.open('key', notFound).bytes(), 'ERR_FANPIPE_POOL_SOURCE', 'a Response that is no success');
    pool.close();
  }),

  test('pool GROUP: one that leaves disturbs none, the last one stops the source', async () => {
    const pool = new StreamPool();
    const feed = new Feed();
    const controller = new AbortController();
    const first = pool.open('key', feed.open, { signal: controller.signal });
    const second = pool.open('key', feed.open);
    await turn();
    feed.writer.writeSync('some');
    controller.abort(new Error('the first one left'));
    throws(() => first.read(), controller.signal.reason, 'it has left');
    await turn();
    equal(feed.signal?.aborted, false, 'the source goes on');
    equal(await next(second), 'some', 'for the others');
    second.cancel();
    await turn();
    equal(feed.signal?.aborted, true, 'nobody is left');
    equal((feed.signal?.reason as { code?: string } | undefined)?.code, 'ERR_FANPIPE_POOL_ABANDONED', 'why');
    equal(feed.writer.streamCount, 0, 'the source is closed');
    same(pool.stats().entries, [], 'and forgotten');
    const again = new Feed();
    again.writer.writeSync('whole');
    again.writer.close();
    equal(await pool.open('key', again.open).text(), 'whole', 'the next open starts afresh');
    pool.close();
  }),

  test('pool GROUP: who joins in the turn of the last leave goes on with the same source', async () => {
    const pool = new StreamPool();
    const feed = new Feed();
    const first = pool.open('key', feed.open);
    await turn();
    feed.writer.writeSync('some');
    await turn();
    first.cancel();
    const second = pool.open('key', NEVER);
    await turn();
    equal(feed.signal?.aborted, false, 'not stopped');
    feed.writer.close();
    equal(await second.text(), 'some', 'all of it');
    pool.close();
  }),

  test('pool KEEP: with keep a source goes on without readers', async () => {
    const pool = new StreamPool({ onLastLeave: 'keep' });
    const feed = new Feed();
    pool.open('key', feed.open).cancel();
    await turn();
    feed.writer.writeSync('kept');
    feed.writer.close();
    for (let i = 0; i < 5; i++) await turn();
    equal(pool.stats().entries[0]?.state, 'complete', 'state');
    equal(await pool.open('key', NEVER).text(), 'kept', 'text');
    pool.close();
  }),

  test('pool KEEP: stopAfter and ttl, by a clock', async () => {
    const clock = new FakeClock();
    const pool = new StreamPool({ onLastLeave: { stopAfter: 100 }, ttl: 1000, clock });
    const feed = new Feed();
    pool.open('key', feed.open).cancel();
    await clock.advance(99);
    pool.open('key', NEVER).cancel();
    await clock.advance(99);
    equal(feed.signal?.aborted, false, 'whoever joins gives it another while');
    await clock.advance(1);
    equal(feed.signal?.aborted, true, 'then it is stopped');
    equal(await pool.open('key', () => ['old']).text(), 'old', 'afresh');
    await clock.advance(999);
    equal(await pool.open('key', NEVER).text(), 'old', 'within its time');
    await clock.advance(1);
    equal(await pool.open('key', () => ['new']).text(), 'new', 'after its time');
    pool.close();
    equal(clock.pending, 0, 'no timer is left');
  }),

  test('pool KEEP: the budget holds, the least recently used goes first', async () => {
    const pool = new StreamPool({ budget: 100 });
    const fill = async (key: string, size: number): Promise<void> => {
      await pool.open(key, () => [new Uint8Array(size)]).bytes();
      ok(pool.stats().bytes <= 100, 'within the budget');
    };
    await fill('a', 40);
    await fill('b', 40);
    await pool.open('a', NEVER).bytes();
    await fill('c', 40);
    const keys = pool.stats().entries.map(({ key }) => key);
    same(keys.sort(), ['a', 'c'], 'b was used least recently');
    equal(pool.stats().evictions, 1, 'evictions');
    const using = pool.open('a', NEVER);
    await rejects(fill('d', 101), 'ERR_FANPIPE_POOL_BUDGET', 'too large');
    await rejects(pool.open('e', () => ['12', '34'], { maxBytes: 3 }).text(), 'ERR_FANPIPE_POOL_BUDGET', 'maxBytes');
    equal((await using.bytes()).byteLength, 40, 'what is in use is never evicted');
    ok(pool.stats().bytes <= 100, 'within the budget at the end');
    pool.close();
  }),

  test('pool RANGE: from what is there, and from what is on the way', async () => {
    const pool = new StreamPool();
    const feed = new Feed();
    const head = pool.open('key', feed.open, { end: 3 });
    const middle = pool.open('key', feed.open, { start: 2, end: 8 });
    const tail = pool.open('key', feed.open, { start: 7 });
    const beyond = pool.open('key', feed.open, { start: 99 });
    await turn();
    feed.writer.writeSync('01234');
    equal(await head.text(), '012', 'the head, before the source has ended');
    equal(await next(middle), '234', 'a part of the middle');
    feed.writer.writeSync('56789');
    feed.writer.close();
    equal(await middle.text(), '567', 'the rest of it');
    equal(await tail.text(), '789', 'the tail, which was not there yet');
    await rejects(beyond.text(), 'ERR_FANPIPE_OFFSET_NOT_WRITTEN', 'beyond the end');
    equal(await pool.open('key', NEVER, { start: 4, end: 100 }).text(), '456789', 'of what is complete');
    throws(() => pool.open('key', NEVER, { start: 11 }), 'ERR_FANPIPE_OFFSET_NOT_WRITTEN', 'beyond, at once');
    equal(feed.opened, 1, 'sources');
    pool.close();
  }),

  test('pool: responses, web streams and iterables are sources', async () => {
    const pool = new StreamPool();
    const web = () =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(encode('web stream'));
          controller.close();
        },
      });
    async function* generate() {
      yield 'async ';
      yield encode('iterable');
    }
    equal(await pool.open('response', async () => new Response('response')).text(), 'response', 'a Response');
    equal(await pool.open('empty', () => new Response(null)).text(), '', 'a Response without a body');
    equal(await pool.open('web', web).text(), 'web stream', 'a ReadableStream');
    equal(await pool.open('async', generate).text(), 'async iterable', 'an async iterable');
    equal(await pool.open('sync', () => ['plain ', encode('iterable')]).text(), 'plain iterable', 'an iterable');
    await rejects(pool.open('none', () => 42 as never).text(), 'ERR_FANPIPE_POOL_SOURCE', 'anything else');
    equal(
      await pool
        .open('web', NEVER)
        .readable()
        .getReader()
        .read()
        .then(({ value }) => value?.byteLength),
      10,
      'kept',
    );
    pool.close();
  }),

  test('pool: delete forgets, close stops what fills', async () => {
    const pool = new StreamPool();
    const feed = new Feed();
    const reading = pool.open('key', feed.open);
    await turn();
    feed.writer.writeSync('old');
    await turn();
    equal(pool.delete('key'), true, 'delete');
    equal(pool.delete('key'), false, 'again');
    equal(await pool.open('key', () => ['new']).text(), 'new', 'the next open starts afresh');
    const filling = new Feed();
    const cut = pool.open('other', filling.open);
    await turn();
    filling.writer.writeSync('half');
    await turn();
    pool.close();
    pool.close();
    sameText(cut.read(), 'half', 'what came');
    throws(() => cut.read(), 'ERR_FANPIPE_POOL_CLOSED', 'a filling entry');
    await turn();
    equal(filling.signal?.aborted, true, 'its source is stopped');
    throws(() => pool.open('key', NEVER), 'ERR_FANPIPE_POOL_CLOSED', 'a later open');
    sameText(reading.read(), 'old', 'what was there');
  }),
];
