/** `fanpipe/remote`, with a fetcher that answers out of memory: no server is needed, and no time passes. */
import { RemoteByteStream, type RemoteOptions } from 'fanpipe/remote';
import { equal, isSettled, ok, rejects, same } from './assert.ts';
import { Checksum } from './bytes.ts';
import { test } from './case.ts';
import { type Case, turn } from './harness.ts';
import { Resource, toResponse } from './resource.ts';

const URL_OF_ALL = 'http://fanpipe.test/resource';

/** Opens `resource`, runs `body` and closes it. No wait of a retry takes any time: chance always says 0. */
async function reading(
  resource: Resource,
  options: RemoteOptions,
  body: (remote: RemoteByteStream) => Promise<void>,
): Promise<void> {
  const remote = new RemoteByteStream(URL_OF_ALL, { fetcher: resource.fetcher, random: () => 0, ...options });
  try {
    await body(remote);
  } finally {
    remote.close();
  }
}

function sumOf(...all: Uint8Array[]): string {
  const sum = new Checksum();
  for (const bytes of all) sum.add(bytes);
  return sum.value;
}

function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  equal(sumOf(actual), sumOf(expected), what);
}

/** All that comes from the position on. */
async function rest(remote: AsyncIterable<Uint8Array>): Promise<string> {
  const sum = new Checksum();
  for await (const chunk of remote) sum.add(chunk);
  return sum.value;
}

export const remoteCases: readonly Case[] = [
  test('remote EXACT: read, read into memory, and iterate, from the position on', async () => {
    const resource = new Resource(100_000);
    await reading(resource, {}, async (remote) => {
      equal(remote.size, undefined, 'the size, before anything was asked');
      sameBytes(await remote.read(1000), resource.slice(0, 1000), 'read');
      equal(remote.size, 100_000, 'the size');
      const into = new Uint8Array(500);
      equal(await remote.read(into), 500, 'read into');
      sameBytes(into, resource.slice(1000, 1500), 'its bytes');
      equal(remote.position, 1500, 'position');
      for await (const chunk of remote) {
        ok(chunk.byteLength > 0, 'a chunk');
        break;
      }
      ok(remote.position > 1500, 'leaving the loop keeps the stream usable');
      const { position } = remote;
      equal(await rest(remote), sumOf(resource.slice(position, 100_000)), 'a later loop goes on');
      ok(remote.finished, 'finished');
      equal((await remote.read(10)).byteLength, 0, 'nothing more');
    });
  }),

  test('remote SEEK: from the start, from here, and back from the end', async () => {
    const resource = new Resource(100_000);
    await reading(resource, {}, async (remote) => {
      equal(await remote.seek(10, 'end'), 99_990, 'back from the end');
      sameBytes(await remote.read(100), resource.slice(99_990, 100_000), 'what is left');
      equal(await remote.seek(50_000), 50_000, 'from the start');
      equal(await remote.seek(-1000, 'current'), 49_000, 'from here');
      sameBytes(await remote.read(10), resource.slice(49_000, 49_010), 'bytes');
      equal(await remote.seek(200_000), 200_000, 'beyond the end is allowed');
      equal((await remote.read(10)).byteLength, 0, 'and reads nothing');
      await rejects(remote.seek(-1), 'ERR_FANPIPE_INVALID_ARGUMENT', 'a negative position');
      equal(remote.position, 200_000, 'the position stays');
    });
  }),

  test('remote SEEK: what is here already makes no request', async () => {
    const resource = new Resource(50_000);
    await reading(resource, {}, async (remote) => {
      equal(await rest(remote), sumOf(resource.bytes), 'all');
      const { length } = resource.asked;
      for (const from of [0, 40_000, 123]) {
        await remote.seek(from);
        sameBytes(await remote.read(100), resource.slice(from, from + 100), `from ${from}`);
      }
      sameBytes(await remote.readAt(7, 1000), resource.slice(7, 1007), 'readAt');
      equal(resource.asked.length, length, 'requests');
    });
  }),

  test('remote EXACT: neighbouring readAt calls share a request, and leave the position', async () => {
    const resource = new Resource(1_000_000);
    await reading(resource, {}, async (remote) => {
      const places = [500_000, 500_100, 505_000];
      const parts = await Promise.all(places.map((offset) => remote.readAt(offset, 100)));
      for (const [index, part] of parts.entries()) {
        const offset = places[index] as number;
        sameBytes(part, resource.slice(offset, offset + 100), `at ${offset}`);
      }
      equal(resource.asked.length, 1, 'requests');
      equal(remote.position, 0, 'position');
      equal((await remote.readAt(999_990, 100)).byteLength, 10, 'shorter at the end');
    });
  }),

  test('remote RESUME: a body that breaks off is taken up at the exact byte', async () => {
    const resource = new Resource(60_000);
    const told: number[] = [];
    resource.alter = (answer, count) => toResponse(answer, count <= 3 ? 12_345 : undefined);
    await reading(resource, { onRetry: ({ offset }) => void told.push(offset) }, async (remote) => {
      equal(await rest(remote), sumOf(resource.bytes), 'all bytes');
      const starts = resource.ranges.map((range) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1]));
      same(starts, [0, 12_345, 24_690, 37_035], 'where each request began');
      same(told, [12_345, 24_690, 37_035], 'what onRetry was told');
      equal(resource.asked[1]?.headers.get('if-range'), '"one"', 'only of the same version');
      equal(remote.stats().retries, 3, 'retries');
    });
  }),

  test('remote RESUME: attempts are limited, and what came before stays', async () => {
    const resource = new Resource(60_000);
    resource.alter = (answer, count) =>
      count === 1 ? toResponse(answer, 10_000) : new Response(null, { status: 503 });
    await reading(resource, { retry: { attempts: 2 } }, async (remote) => {
      await rejects(remote.read(60_000), 'ERR_FANPIPE_RETRIES_EXHAUSTED', 'all');
      equal(remote.position, 0, 'a failed read leaves the position');
      sameBytes(await remote.read(10_000), resource.slice(0, 10_000), 'what came');
      resource.alter = (answer) => toResponse(answer);
      sameBytes(await remote.read(50_000), resource.slice(10_000, 60_000), 'the next read tries again');
    });
  }),

  test('remote EXACT: a range that was not asked for is refused', async () => {
    const resource = new Resource(100_000);
    resource.alter = (answer) => {
      const headers = { ...answer.headers, 'content-range': 'bytes 1-1000/100000' };
      return toResponse({ ...answer, headers });
    };
    await reading(resource, {}, async (remote) => {
      await rejects(remote.read(10), 'ERR_FANPIPE_WRONG_RANGE', 'read');
      equal(remote.position, 0, 'position');
    });
  }),

  test('remote EXACT: a resource that has changed is refused from then on', async () => {
    const resource = new Resource(400_000);
    await reading(resource, { skipLimit: 0 }, async (remote) => {
      sameBytes(await remote.readAt(0, 100), resource.slice(0, 100), 'the first version');
      resource.etag = '"two"';
      await rejects(remote.readAt(300_000, 100), 'ERR_FANPIPE_RESOURCE_CHANGED', 'the second');
      await rejects(remote.readAt(0, 100), 'ERR_FANPIPE_RESOURCE_CHANGED', 'and from then on');
    });
  }),

  test('remote EXACT: without a strong validator ranges are not spliced, unless told so', async () => {
    for (const unverified of [false, true]) {
      const resource = new Resource(400_000);
      resource.etag = 'W/"weak"';
      await reading(resource, { unverified }, async (remote) => {
        await remote.readAt(0, 100);
        const second = remote.readAt(300_000, 100);
        if (unverified) sameBytes(await second, resource.slice(300_000, 300_100), 'told so');
        else await rejects(second, 'ERR_FANPIPE_UNVERIFIABLE_RESOURCE', 'a second range');
      });
    }
  }),

  test('remote EXACT: a server without ranges is read through to a near offset, and refused for a far one', async () => {
    const resource = new Resource(400_000);
    resource.alter = (answer) => {
      const { 'content-range': _, ...headers } = answer.headers as Record<string, string>;
      return toResponse({ status: 200, headers, bytes: resource.bytes });
    };
    await reading(resource, { skipLimit: 50_000 }, async (remote) => {
      sameBytes(await remote.readAt(20_000, 100), resource.slice(20_000, 20_100), 'a near one');
      await rejects(remote.readAt(300_000, 100), 'ERR_FANPIPE_NOT_SEEKABLE', 'a far one');
    });
  }),

  test('remote EXACT: an encoded body is refused', async () => {
    const resource = new Resource(1000);
    resource.alter = (answer) => toResponse({ ...answer, headers: { ...answer.headers, 'content-encoding': 'gzip' } });
    await reading(resource, {}, (remote) => rejects(remote.read(10), 'ERR_FANPIPE_ENCODED_BODY', 'read'));
  }),

  test('remote WINDOW: one window after the other, up to what is here already, and nothing twice', async () => {
    const resource = new Resource(300_000);
    // Each body in one piece, which ends where its request ends.
    resource.alter = ({ status, headers, bytes }) => new Response(bytes, { status, headers });
    await reading(resource, {}, async (remote) => {
      equal(await remote.seek(1000, 'end'), 299_000, 'the size is learnt');
      sameBytes(await remote.read(2000), resource.slice(299_000, 300_000), 'the end');
      await remote.seek(0);
      equal(await rest(remote), sumOf(resource.bytes), 'all of it');
      equal(remote.stats().bytesFetched, 300_000, 'bytes fetched');
    });
  }),

  test('remote WINDOW: the cache stays within its budget', async () => {
    const resource = new Resource(1_000_000);
    const cacheSize = 200_000;
    await reading(resource, { cacheSize }, async (remote) => {
      const sum = new Checksum();
      for await (const chunk of remote) {
        sum.add(chunk);
        const { bytesCached } = remote.stats();
        ok(bytesCached <= cacheSize, `${bytesCached} bytes in the cache`);
      }
      equal(sum.value, sumOf(resource.bytes), 'all bytes');
      sameBytes(await remote.readAt(0, 500_000), resource.slice(0, 500_000), 'more than the cache holds');
    });
  }),

  test('remote WINDOW: a reader that stops stops the fetch', async () => {
    const resource = new Resource(1_000_000);
    await reading(resource, { readAhead: 65_536 }, async (remote) => {
      await remote.read(1000);
      for (let i = 0; i < 20; i++) await turn();
      const { bytesFetched } = remote.stats();
      ok(bytesFetched < 300_000, `${bytesFetched} bytes were fetched for one of 1000`);
    });
  }),

  test('remote ORIGIN: headers of the caller are not carried to another origin', async () => {
    const resource = new Resource(1000);
    resource.alter = (answer, _, { url }) =>
      new URL(url).host === 'fanpipe.test'
        ? new Response(null, { status: 302, headers: { location: 'http://other.test/resource' } })
        : toResponse(answer);
    await reading(resource, { headers: { 'x-api-key': 'secret' } }, async (remote) => {
      sameBytes(await remote.read(1000), resource.bytes, 'bytes');
      same(
        resource.asked.map(({ url, headers }) => [new URL(url).host, headers.get('x-api-key')]),
        [
          ['fanpipe.test', 'secret'],
          ['other.test', null],
        ],
        'who was told',
      );
    });
  }),

  test('remote: a status that is no success is refused at once', async () => {
    const resource = new Resource(1000);
    resource.alter = () => new Response('not here', { status: 404 });
    await reading(resource, {}, (remote) => rejects(remote.read(10), 'ERR_FANPIPE_HTTP_STATUS', 'read'));
    equal(resource.asked.length, 1, 'requests');
  }),

  test('remote: close and abort end what waits, and all that comes later', async () => {
    const silent = new Resource(1000);
    silent.alter = () => new Promise(() => {});
    const remote = new RemoteByteStream(URL_OF_ALL, { fetcher: silent.fetcher });
    const reads = [remote.read(10), remote.readAt(500, 10), remote[Symbol.asyncIterator]().next()];
    await turn();
    ok(!(await isSettled(reads[0] as Promise<unknown>)), 'waits');
    const ended = reads.map((read) => rejects(read, 'ERR_FANPIPE_REMOTE_CLOSED', 'what waited'));
    remote.close();
    await Promise.all(ended);
    await rejects(remote.read(10), 'ERR_FANPIPE_REMOTE_CLOSED', 'a later read');
    ok(
      silent.asked.every(({ signal }) => signal?.aborted === true),
      'the requests are aborted',
    );

    const controller = new AbortController();
    const aborted = new RemoteByteStream(URL_OF_ALL, { fetcher: silent.fetcher, signal: controller.signal });
    const read = aborted.read(10);
    await turn();
    const reason = new Error('enough');
    controller.abort(reason);
    await rejects(read, reason, 'what waited');
    await rejects(aborted.readAt(0, 1), reason, 'a later read');
    aborted.close();
  }),

  test('remote: shared by any number of streams through one fetch', async () => {
    const resource = new Resource(200_000);
    await reading(resource, {}, async (remote) => {
      const writer = remote.share({ replay: 'all' });
      const streams = [writer.stream({ from: 'start' }), writer.stream({ from: 'start' })];
      for (const bytes of await Promise.all(streams.map((stream) => stream.bytes()))) {
        sameBytes(bytes, resource.bytes, 'bytes');
      }
      const fetched = remote.stats().bytesFetched;
      ok(fetched <= resource.bytes.byteLength, `${fetched} bytes were fetched`);
      equal(writer.state, 'closed', 'its end closes');
    });
  }),

  test('remote: options of the wrong kind are refused', async () => {
    const wrong = (options: RemoteOptions, what: string, url = URL_OF_ALL): void => {
      let code: unknown;
      try {
        new RemoteByteStream(url, options).close();
      } catch (error) {
        code = (error as { code?: unknown }).code;
      }
      equal(code, 'ERR_FANPIPE_INVALID_ARGUMENT', what);
    };
    wrong({}, 'credentials in the URL', 'http://user:password@fanpipe.test/');
    wrong({ headers: { range: 'bytes=0-1' } }, 'a header that is not the caller’s');
    wrong({ cacheSize: -1 }, 'a negative budget');
    wrong({ size: 1.5 }, 'a fractional size');
  }),
];
