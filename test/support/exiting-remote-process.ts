/**
 * Reads a remote resource in every way and comes to its end without `process.exit`: what the library left running would
 * keep it alive. Takes the URLs of a resource and of a server that says nothing, and whether the last stream is closed. Run
 * by `test/remote/leaks.test.ts`.
 */

import { RemoteByteStream } from '../../packages/fanpipe/src/remote/index.ts';

const [url = '', silent = '', how] = process.argv.slice(2);
const HOUR = 3_600_000;
const long = { timeout: HOUR, idleTimeout: HOUR, retry: { baseDelay: HOUR, maxDelay: HOUR, timeLimit: HOUR } };

/** A fetch that tells when it is used. */
function watched(): { fetcher: typeof fetch; used: Promise<void> } {
  let tell = (): void => {};
  const used = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const fetcher: typeof fetch = (input, init) => {
    tell();
    return fetch(input, init);
  };
  return { fetcher, used };
}

const paused = new RemoteByteStream(url, long);
await paused.read(10);
for await (const _ of paused) break;
await paused.readAt(500_000, 10);
paused.close();

const first = watched();
const waiting = new RemoteByteStream(silent, { ...long, fetcher: first.fetcher });
const read = waiting.read(10).catch((error) => error.code);
await first.used;
waiting.close();

const second = watched();
const controller = new AbortController();
const options = { ...long, autostart: true, signal: controller.signal, fetcher: second.fetcher };
const aborted = new RemoteByteStream(silent, options);
const streamed = aborted
  .share()
  .stream()
  .bytes()
  .catch(() => 'aborted');
await second.used;
controller.abort();

let failed = (): void => {};
const inBackoff = new Promise<void>((resolve) => {
  failed = resolve;
});
// Nothing listens at this port.
const failing = new RemoteByteStream('http://127.0.0.1:1/', { ...long, random: () => 1, onRetry: () => failed() });
const backoff = failing.read(10).catch((error) => error.code);
await inBackoff;
failing.close();

const whole = new RemoteByteStream(url, long);
let size = 0;
for await (const chunk of whole) size += chunk.length;
const outcome = [await read, await streamed, await backoff, size === whole.size];
if (how === 'closed') whole.close();
const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout');
console.log(`finished, ${outcome.join(', ')}, timers: ${timers.length}`);
