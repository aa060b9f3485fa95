/** The feed: where followers join, how they leave, and what ends it. */
import { ByteWriter } from 'fanpipe';
import { describe, expect, test } from 'vitest';
import type { StreamEnd } from '../../../packages/server/src/backends/backend.ts';
import { Feed, type Follower } from '../../../packages/server/src/http/feed.ts';
import { FeedCursor } from '../../../packages/server/src/http/feed-cursor.ts';
import { FeedEncoder, type FeedEncoding } from '../../../packages/server/src/http/feed-encoder.ts';
import type { Frame } from '../../../packages/server/src/http/frame.ts';
import type { LiveStream } from '../../../packages/server/src/hub/index.ts';
import { settle } from '../../support/fake-clock.ts';
import { bytesOf } from './http-rig.ts';

class Reader implements Follower {
  place = -1;
  readonly log: string[] = [];
  /** What it answers to the next frames; then true. */
  readonly takes: boolean[] = [];
  readonly frames: Frame[] = [];
  onGive: () => void = () => {};

  give(frame: Frame, shown: number): boolean {
    this.frames.push(frame);
    this.log.push(`give ${shown}`);
    this.onGive();
    return this.takes.shift() ?? true;
  }

  look(): void {
    this.log.push('look');
  }

  lose(shown: number): void {
    this.log.push(`lose ${shown}`);
  }

  finish(frame: Frame | undefined, end: StreamEnd): void {
    this.log.push(`finish ${end.kind} ${frame === undefined ? 'bare' : 'told'}`);
  }

  fail(error: unknown): void {
    this.log.push(`fail ${String(error)}`);
  }
}

interface Scene {
  readonly writer: ByteWriter;
  readonly feed: Feed;
  readonly over: string[];
}

/** A feed of what a writer writes, begun at `from`. */
async function scene(encoding: FeedEncoding = 'raw', from = 0, window = 1000): Promise<Scene> {
  const writer = new ByteWriter({ replay: window });
  const over: string[] = [];
  const live = {
    follow: async (at: number) =>
      at < Math.max(0, writer.bytesWritten - window)
        ? undefined
        : writer.stream({ from: at, overflow: 'disconnect', highWaterMark: window }),
    get knownTail(): number {
      return writer.bytesWritten;
    },
  } as unknown as LiveStream;
  const cursor = new FeedCursor(() => 0);
  const encoder = new FeedEncoder(encoding, { generation: 1, inherited: [] }, from, () => cursor.current);
  const feed = new Feed(encoder, cursor, () => over.push('over'));
  void feed.run(live);
  await settle();
  return { writer, feed, over };
}

describe('joining', () => {
  test('at its place one follows, behind it one reads on, before it one waits for its next move', async () => {
    const { writer, feed } = await scene();
    feed.join(new Reader(), 0, 0);
    await writer.write('12345');
    await settle();
    const [at, behind, before] = [new Reader(), new Reader(), new Reader()];
    expect([feed.join(at, 5, 5), feed.join(behind, 4, 4), feed.join(before, 6, 6)]).toEqual([
      'following',
      'behind',
      'waiting',
    ]);
    expect(feed.position).toBe(5);
    await writer.write('6');
    await settle();
    expect([at.log, behind.log, before.log]).toEqual([['give 6'], [], ['look']]);
    expect(feed.join(before, 6, 6)).toBe('following');
    expect(feed.size).toBe(3);
  });

  test('what has shown other bytes than the feed is not at its place', async () => {
    const { writer, feed } = await scene('text');
    feed.join(new Reader(), 0, 0);
    await writer.write(bytesOf('€').subarray(0, 2));
    await settle();
    // One that began in the middle of the character has nothing to show the rest of.
    expect(feed.join(new Reader(), 2, 2)).toBe('behind');
    expect(feed.join(new Reader(), 2, 0)).toBe('following');
  });

  test('before it has begun one waits; where it cannot begin one looks elsewhere', async () => {
    const writer = new ByteWriter();
    const encoder = new FeedEncoder('raw', { generation: 1, inherited: [] }, 0, () => 0);
    const feed = new Feed(encoder, new FeedCursor(() => 0), () => {});
    const reader = new Reader();
    expect(feed.join(reader, 0, 0)).toBe('waiting');
    await feed.run({ follow: async () => undefined } as unknown as LiveStream);
    expect([reader.log, feed.isOver]).toEqual([['look'], true]);
    writer.close();
  });
});

describe('leaving', () => {
  test('the last one ends it: of those who follow, of those who wait, of those who take no more', async () => {
    const followed = await scene();
    const [one, two] = [new Reader(), new Reader()];
    followed.feed.join(one, 0, 0);
    followed.feed.join(two, 0, 0);
    followed.feed.leave(one);
    expect(followed.feed.isOver).toBe(false);
    followed.feed.leave(two);
    expect([followed.feed.isOver, followed.over, followed.writer.streamCount]).toEqual([true, ['over'], 0]);

    const waited = await scene();
    waited.feed.join(one, 3, 3);
    waited.feed.leave(one);
    expect([waited.feed.isOver, waited.writer.streamCount]).toEqual([true, 0]);

    const full = await scene();
    const slow = new Reader();
    slow.takes.push(false);
    full.feed.join(slow, 0, 0);
    await full.writer.write('x');
    await settle();
    expect([full.feed.isOver, slow.place, full.writer.streamCount]).toEqual([true, -1, 0]);
  });

  test('the last one that waits ends it too: it looked, saw that it is behind, and may never come back', async () => {
    const { writer, feed, over } = await scene();
    const [waits, back] = [new Reader(), new Reader()];
    feed.join(waits, 1, 1);
    await writer.write('12');
    await settle();
    expect([waits.log, feed.isOver, over, writer.streamCount]).toEqual([['look'], true, ['over'], 0]);

    const other = await scene();
    back.look = () => other.feed.join(back, 1, 1);
    other.feed.join(back, 1, 1);
    await other.writer.write('1');
    await settle();
    expect([other.feed.size, other.feed.isOver]).toEqual([1, false]);
  });

  test('one that leaves by itself and takes no more either is counted once', async () => {
    const { writer, feed } = await scene();
    const [goes, stays] = [new Reader(), new Reader()];
    feed.join(goes, 0, 0);
    feed.join(stays, 0, 0);
    goes.onGive = () => feed.leave(goes);
    goes.takes.push(false);
    await writer.write('1');
    await settle();
    await writer.write('2');
    await settle();
    expect([feed.size, feed.isOver, stays.log]).toEqual([1, false, ['give 1', 'give 2']]);
  });

  test('in any order, also in the middle of a frame: each of the others gets each frame once', async () => {
    const { writer, feed } = await scene();
    const readers = Array.from({ length: 7 }, () => new Reader());
    for (const reader of readers) feed.join(reader, 0, 0);
    const [a, b, c, d, e, f, g] = readers as [Reader, Reader, Reader, Reader, Reader, Reader, Reader];
    feed.leave(b);
    // Of those before and after it, and itself.
    d.onGive = () => {
      d.onGive = () => {};
      feed.leave(a);
      feed.leave(f);
      feed.leave(d);
    };
    e.takes.push(false);
    await writer.write('1');
    await settle();
    await writer.write('2');
    await settle();
    feed.leave(c);
    await writer.write('3');
    await settle();
    expect(readers.map(({ frames }) => frames.length)).toEqual([1, 0, 2, 1, 1, 0, 3]);
    expect([feed.size, g.place, feed.isOver]).toEqual([1, 0, false]);
  });

  test('thousands who come and go while nothing happens leave nothing behind', async () => {
    const { feed } = await scene();
    const stays = new Reader();
    feed.join(stays, 0, 0);
    for (let i = 0; i < 5000; i++) {
      const reader = new Reader();
      feed.join(reader, 0, 0);
      expect(reader.place).toBe(1);
      feed.leave(reader);
    }
    expect(feed.size).toBe(1);
  });
});

describe('its end', () => {
  test('closed, failed, and otherwise', async () => {
    const ends: string[][] = [];
    for (const end of [
      (writer: ByteWriter) => writer.close(),
      (writer: ByteWriter) => writer.fail(new Error('lost')),
    ]) {
      for (const encoding of ['raw', 'text'] as const) {
        const { writer, feed } = await scene(encoding);
        const [reader, waiter] = [new Reader(), new Reader()];
        feed.join(reader, 0, 0);
        feed.join(waiter, 9, 9);
        end(writer);
        await settle();
        expect([feed.isOver, reader.place, waiter.log]).toEqual([true, -1, ['look']]);
        ends.push(reader.log);
      }
    }
    expect(ends).toEqual([['finish closed bare'], ['finish closed told'], ['fail Error: lost'], ['fail Error: lost']]);
  });

  test('more at once than memory holds: followers go on by themselves from what they have', async () => {
    const { writer, feed } = await scene('raw', 0, 10);
    const reader = new Reader();
    feed.join(reader, 0, 0);
    await writer.write('12345');
    await settle();
    for (let i = 0; i < 4; i++) writer.writeSync('x'.repeat(8));
    await settle();
    expect(reader.log).toEqual(['give 5', 'give 13', 'lose 13']);
    expect(feed.isOver).toBe(true);
  });
});
