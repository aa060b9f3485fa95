/** What needs a server: the runtime's own `fetch`, to one that answers as `answerServed` does. */
import { StreamPool } from 'fanpipe/pool';
import { RemoteByteStream } from 'fanpipe/remote';
import { equal } from './assert.ts';
import { Checksum } from './bytes.ts';
import { test } from './case.ts';
import type { Case } from './harness.ts';
import { SERVED } from './resource.ts';

function sumOf(bytes: Uint8Array): string {
  const sum = new Checksum();
  sum.add(bytes);
  return sum.value;
}

/** The cases with a real `fetch`. `url` is where {@link SERVED} is. */
export function fetchCases(url: string): readonly Case[] {
  return [
    test('remote EXACT: over the runtime’s own fetch', async () => {
      const remote = new RemoteByteStream(url);
      try {
        equal(await remote.seek(1000, 'end'), SERVED.byteLength - 1000, 'the size is learnt');
        equal(sumOf(await remote.read(2000)), sumOf(SERVED.subarray(-1000)), 'the end');
        await remote.seek(0);
        const sum = new Checksum();
        for await (const chunk of remote) sum.add(chunk);
        equal(sum.value, sumOf(SERVED), 'all of it');
        equal(sumOf(await remote.readAt(100_000, 100)), sumOf(SERVED.subarray(100_000, 100_100)), 'a part');
      } finally {
        remote.close();
      }
    }),

    test('pool ONCE: a real response for many readers', async () => {
      const pool = new StreamPool();
      let requests = 0;
      const open = () =>
        pool.open(url, ({ key, signal }) => {
          requests++;
          return fetch(key, { signal });
        });
      const all = await Promise.all([open(), open(), open()].map((stream) => stream.bytes()));
      for (const bytes of all) equal(sumOf(bytes), sumOf(SERVED), 'bytes');
      equal(requests, 1, 'requests');
      pool.close();
    }),
  ];
}
