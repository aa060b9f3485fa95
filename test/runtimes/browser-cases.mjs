/** What browsers do with a server of streams: each case has a page, and servers of its own origin and of others. */
import assert from 'node:assert/strict';

const TEXT = { contentType: 'text/plain' };

/** A tone of five seconds, 8-bit mono, of so many bytes that a browser begins before it has them all. */
function wav() {
  const rate = 192_000;
  const samples = Buffer.alloc(5 * rate, 128);
  for (let i = 0; i < samples.length; i++) samples[i] = 128 + Math.round(60 * Math.sin((i / rate) * 2 * Math.PI * 440));
  const head = Buffer.alloc(44);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8, 'latin1');
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate, 28);
  head.writeUInt16LE(1, 32);
  head.writeUInt16LE(8, 34);
  head.write('data', 36, 'latin1');
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}

/** All that a finished stream holds, read in process. */
const textOf = (server, name) => server.stream(name, { from: 'start' }).text();

async function untilGauge(server, wanted, expected) {
  for (;;) {
    let value;
    const look = (name, _, read) => {
      if (name === wanted) value = read();
    };
    server.measure({ gauge: look, counter: look, add() {}, before() {} });
    if (value === expected) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export const browserCases = [
  {
    title: 'SEAM: an EventSource of another origin goes on by itself where it was, and stops at the end',
    async run({ page, open }) {
      const writer = open.server.writer('news', { create: TEXT });
      await writer.write('one\n');
      await writer.flush();
      await page.evaluate((url) => {
        globalThis.seen = { data: [], openings: 0, states: [] };
        const source = new EventSource(url);
        source.onopen = () => globalThis.seen.openings++;
        source.onerror = () => globalThis.seen.states.push(source.readyState);
        source.addEventListener('data', ({ data }) => globalThis.seen.data.push(data));
      }, `${open.url}/v1/stream/news?live=sse&offset=-1`);
      // The server ends each reply after a quarter of a second: the browser has to come again.
      for (let openings = 1; openings <= 3; openings++) {
        await page.waitForFunction((wanted) => globalThis.seen.openings >= wanted, openings);
        await writer.write(`at opening ${openings}\n`);
      }
      await writer.end();
      await page.waitForFunction(() => globalThis.seen.states.at(-1) === EventSource.CLOSED);
      const { data } = await page.evaluate(() => globalThis.seen);
      const lines = data.join('').split('\n').filter(Boolean);
      const expected = ['one', 'at opening 1', 'at opening 2', 'at opening 3'];
      assert.equal(lines.join(''), expected.join(''));
    },
  },
  {
    title: 'FAIL: an EventSource stops at a stream that failed',
    async run({ page, open }) {
      const writer = open.server.writer('broken', { create: TEXT });
      await writer.write('a part');
      await writer.flush();
      await page.evaluate((url) => {
        globalThis.seen = { controls: [], states: [] };
        const source = new EventSource(url);
        source.onerror = () => globalThis.seen.states.push(source.readyState);
        source.addEventListener('control', ({ data }) => globalThis.seen.controls.push(JSON.parse(data)));
      }, `${open.url}/v1/stream/broken?live=sse&offset=-1`);
      await page.waitForFunction(() => globalThis.seen.controls.length > 0);
      writer.fail(new Error('no more'));
      await page.waitForFunction(() => globalThis.seen.states.at(-1) === EventSource.CLOSED);
      const { controls } = await page.evaluate(() => globalThis.seen);
      assert.equal(decodeURIComponent(controls.at(-1).streamError), 'no more');
    },
  },
  {
    title: 'ORD: a page of an origin that is let in writes, reads what comes, and sees the headers',
    async run({ page, open }) {
      const result = await page.evaluate(async (url) => {
        const headers = { 'content-type': 'application/octet-stream' };
        const created = await fetch(url, { method: 'PUT', headers });
        const live = await fetch(`${url}?live=raw`);
        const sent = new Uint8Array(300_000).map((_, i) => i * i);
        const appended = [];
        for (let at = 0; at < sent.length; at += 100_000) {
          const producer = { 'producer-id': 'page', 'producer-epoch': '0', 'producer-seq': String(at / 100_000) };
          const body = sent.slice(at, at + 100_000);
          const { status, headers: told } = await fetch(url, {
            method: 'POST',
            headers: { ...headers, ...producer },
            body,
          });
          appended.push(status, told.get('stream-next-offset') !== null);
        }
        await fetch(url, { method: 'POST', headers: { ...headers, 'stream-closed': 'true' } });
        const got = new Uint8Array(await live.arrayBuffer());
        return { created: created.status, appended, same: got.join() === sent.join() };
      }, `${open.url}/v1/stream/page`);
      assert.deepEqual(result, { created: 201, appended: [200, true, 200, true, 200, true], same: true });
    },
  },
  {
    title: 'a page of an origin that is not let in reads nothing and writes nothing',
    async run({ page, closed }) {
      const writer = closed.server.writer('private', { create: TEXT });
      await writer.write('mine');
      await writer.flush();
      const result = await page.evaluate(async (url) => {
        const outcome = (promise) =>
          promise.then(
            ({ type }) => type,
            ({ name }) => name,
          );
        const source = new EventSource(`${url}?live=sse&offset=-1`);
        const state = new Promise((resolve) => (source.onerror = () => resolve(source.readyState)));
        const form = new FormData();
        form.set('a', 'b');
        return [
          await outcome(fetch(url)),
          await outcome(fetch(url, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'not yours' })),
          await outcome(fetch(url, { method: 'POST', mode: 'no-cors', body: 'not yours' })),
          await outcome(fetch(url, { method: 'POST', mode: 'no-cors', body: form })),
          await outcome(fetch(url, { method: 'DELETE' })),
          await state,
        ];
      }, `${closed.url}/v1/stream/private`);
      // That one may be sent at all; what came of it is not shown to the page.
      assert.deepEqual(result, ['TypeError', 'TypeError', 'TypeError', 'TypeError', 'TypeError', 2]);
      await writer.end();
      assert.equal(await textOf(closed.server, 'private'), 'mine');
    },
  },
  {
    title: 'a page of the same origin writes without being let in',
    async run({ page, own }) {
      const statuses = await page.evaluate(async () => {
        const headers = { 'content-type': 'text/plain' };
        const all = [];
        for (const [method, body] of [['PUT'], ['POST', 'mine'], ['GET'], ['DELETE']]) {
          all.push((await fetch('/streams/own', { method, headers, body })).status);
        }
        return all;
      });
      assert.deepEqual(statuses, [201, 204, 200, 204]);
      await assert.rejects(own.server.hub.open('own'));
    },
  },
  {
    title: 'CLEAN: a page that goes, or aborts, is forgotten',
    async run({ page, open }) {
      const writer = open.server.writer('watched', { create: TEXT });
      await writer.write('something');
      await writer.flush();
      const url = `${open.url}/v1/stream/watched?offset=-1&live=`;
      await page.evaluate(async (url) => {
        const controller = new AbortController();
        const reader = (await fetch(`${url}raw`, { signal: controller.signal })).body.getReader();
        await reader.read();
        controller.abort();
        globalThis.source = new EventSource(`${url}sse`);
        await new Promise((resolve) => globalThis.source.addEventListener('data', resolve));
      }, url);
      await untilGauge(open.server, 'live_replies', 1);
      await page.goto('about:blank');
      await untilGauge(open.server, 'live_replies', 0);
      await writer.end();
    },
  },
  {
    title: 'an audio element plays while the bytes come',
    async run({ page, own }) {
      const bytes = wav();
      const writer = own.server.writer('tone', { create: { contentType: 'audio/wav' } });
      await writer.write(bytes.subarray(0, bytes.length / 2));
      await writer.flush();
      await page.evaluate(() => {
        const audio = Object.assign(new Audio('/streams/tone?live=raw'), { muted: true, playbackRate: 16 });
        globalThis.audio = audio;
        globalThis.played = new Promise((resolve) => {
          audio.onended = () => resolve(`ended after ${Math.round(audio.currentTime)} s`);
          audio.onerror = () => resolve(`error ${audio.error.code} ${audio.error.message}`);
        });
        document.body.append(audio);
        audio.play();
      });
      await page.waitForFunction(() => globalThis.audio.readyState >= HTMLMediaElement.HAVE_METADATA);
      await writer.write(bytes.subarray(bytes.length / 2));
      await writer.end();
      assert.equal(await page.evaluate(() => globalThis.played), 'ended after 5 s');
    },
  },
  {
    title: 'what a stream holds does not act for the server when it is opened',
    async run({ page, own }) {
      const writer = own.server.writer('evil', { create: { contentType: 'text/html' } });
      await writer.write('<title>good</title><script>document.title = "evil"</script>');
      await writer.end();
      await page.goto(`${own.url}/streams/evil`);
      assert.equal(await page.title(), 'good');
    },
  },
];
