import { quantile } from '../../runner.mjs';
import { EventReader, message } from '../connection.mjs';
import { PATH } from '../hosted.mjs';
import { fill } from './append.mjs';

async function openReaders(server, count, onMessages) {
  await server.create('fan');
  const readers = [];
  // Not all at once: the queue of new connections is short.
  while (readers.length < count) {
    const some = Array.from({ length: Math.min(100, count - readers.length) }, () => {
      return new EventReader(server.port, `${PATH}fan?offset=now&live=sse`, onMessages);
    });
    await Promise.all(some.map(({ ready }) => ready));
    readers.push(...some);
  }
  return readers;
}

/** The next message goes out when all have the last one. */
export async function closedLoop(server, { readers: count, seconds, size }) {
  let left = 0;
  let arrived;
  const readers = await openReaders(server, count, (messages) => {
    left -= messages;
    if (left === 0) arrived();
  });
  const body = message(size);
  const round = async () => {
    left = count;
    const all = new Promise((resolve) => (arrived = resolve));
    await Promise.all([server.append('fan', body), all]);
  };
  for (const until = performance.now() + 1500; performance.now() < until; ) await round();
  const before = await server.usage();
  const started = performance.now();
  let rounds = 0;
  for (; performance.now() - started < seconds * 1000; rounds++) await round();
  const elapsed = (performance.now() - started) / 1000;
  const { cpu } = await server.usage();
  for (const reader of readers) reader.close();
  return { deliveriesPerSecond: (rounds * count) / elapsed, cpuPerDelivery: (cpu - before.cpu) / (rounds * count) };
}

/** So many messages a second, whatever the readers do. */
export async function paced(server, { readers: count, seconds, perSecond, size }) {
  let sentAt = 0;
  const delays = [];
  const readers = await openReaders(server, count, () => delays.push(performance.now() - sentAt));
  const body = message(size);
  for (let i = 0; i < seconds * perSecond; i++) {
    const due = new Promise((resolve) => setTimeout(resolve, 1000 / perSecond));
    sentAt = performance.now();
    await server.append('fan', body);
    await due;
    // The first second warms up.
    if (i < perSecond) delays.length = 0;
  }
  for (const reader of readers) reader.close();
  return { p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) };
}

/** What a reader takes that has nothing to read. */
export async function idle(server, { readers: count }) {
  // The first ones warm up, and before them so much that all of the young generation has been touched.
  await server.create('warm');
  await fill(server, 'warm', { inFlight: 16, size: 100, goesOn: (sent) => sent < 20_000 });
  const first = await openReaders(server, count >> 1);
  const before = await server.held();
  const readers = [];
  while (readers.length < count) {
    const some = Array.from({ length: 100 }, () => new EventReader(server.port, `${PATH}fan?offset=now&live=sse`));
    await Promise.all(some.map(({ ready }) => ready));
    readers.push(...some);
  }
  const after = await server.held();
  for (const reader of [...first, ...readers]) reader.close();
  return { heldPerReader: (after.held - before.held) / count, rssPerReader: (after.rss - before.rss) / count };
}

/** What is held for a reader that takes nothing, while much is appended. */
export async function stuck(server, { megabytes }) {
  const MIB = 2 ** 20;
  const body = message(MIB);
  const heldAfter = async (name, withReader) => {
    await server.create(name);
    const path = `${PATH}${name}?offset=now&live=sse`;
    const reader = withReader ? new EventReader(server.port, path) : undefined;
    await reader?.ready;
    reader?.pause();
    const before = await server.held();
    for (let i = 0; i < megabytes; i++) await server.append(name, body);
    const after = await server.held();
    reader?.close();
    return after.held - before.held;
  };
  await heldAfter('warm', true);
  const without = await heldAfter('without', false);
  return { heldForReader: (await heldAfter('with', true)) - without };
}
