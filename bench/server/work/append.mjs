import { quantile } from '../../runner.mjs';
import { Connection, headerOf, message, requestText } from '../connection.mjs';
import { PATH } from '../hosted.mjs';

/** Sends appends to a stream on so many connections, until `goesOn` says no. Returns how many. */
export async function fill(server, name, { inFlight, size, goesOn }) {
  const headers = { 'content-type': 'text/plain' };
  const bytes = requestText('POST', PATH + name, { headers, body: message(size) });
  let count = 0;
  const send = async () => {
    const connection = new Connection(server.port);
    while (goesOn(count)) {
      count++;
      const { status, head } = await connection.request(bytes);
      if (status !== 204 && status !== 200) throw new Error(head);
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: inFlight }, send));
  return count;
}

/** Single-request appends, so many in flight, each on a connection of its own. */
export async function appends(server, { inFlight, seconds, size }) {
  await server.create('appends');
  const during = (time) => {
    const until = performance.now() + time * 1000;
    return fill(server, 'appends', { inFlight, size, goesOn: () => performance.now() < until });
  };
  await during(1);
  const before = await server.usage();
  const started = performance.now();
  const count = await during(seconds);
  const elapsed = (performance.now() - started) / 1000;
  const { cpu } = await server.usage();
  return { appendsPerSecond: count / elapsed, cpuPerAppend: (cpu - before.cpu) / count };
}

/** What a message of so many bytes takes in memory, its bytes included. */
export async function held(server, { messages, size }) {
  await server.create('warm');
  await fill(server, 'warm', { inFlight: 64, size, goesOn: (count) => count < 2000 });
  await server.create('held');
  const before = await server.held();
  const count = await fill(server, 'held', { inFlight: 64, size, goesOn: (sent) => sent < messages });
  const after = await server.held();
  return { heldPerMessage: (after.held - before.held) / count };
}

/** From the append to the answer of one who waits for it. */
export async function longPoll(server, { rounds, size }) {
  await server.create('poll');
  let { head } = await server.append('poll', message(size));
  const poller = new Connection(server.port);
  const delays = [];
  let cursor = '';
  for (let i = 0; i < rounds; i++) {
    const offset = headerOf(head, 'stream-next-offset');
    const path = `${PATH}poll?${cursor}live=long-poll&offset=${offset}`;
    const polled = poller.request(requestText('GET', path)).then((answer) => ({ answer, at: performance.now() }));
    // It waits by then.
    await new Promise((resolve) => setTimeout(resolve, 3));
    const started = performance.now();
    await server.append('poll', message(size));
    const { answer, at } = await polled;
    if (answer.status !== 200) throw new Error(answer.head);
    delays.push(at - started);
    head = answer.head;
    const echoed = headerOf(head, 'stream-cursor');
    cursor = echoed === undefined ? '' : `cursor=${echoed}&`;
  }
  poller.close();
  // The first half warms up: a few hundred requests are answered by code that is not compiled yet.
  const warm = delays.slice(rounds >> 1);
  return { p50: quantile(warm, 0.5), p99: quantile(warm, 0.99) };
}
