import { median } from '../../runner.mjs';
import { Connection, headerOf, message, requestText } from '../connection.mjs';
import { PATH } from '../hosted.mjs';
import { fill } from './append.mjs';

const MIB = 2 ** 20;

/** Many read all of a stream at the same time. */
export async function catchUps(server, { readers, megabytes, times }) {
  await server.create('much', 'application/octet-stream');
  const piece = 'x'.repeat(MIB);
  for (let i = 0; i < megabytes; i++) await server.append('much', piece, 'application/octet-stream');
  const readAll = async () => {
    const connection = new Connection(server.port);
    let bytes = 0;
    for (let offset = '-1', ended = false; !ended; ) {
      const { status, head, bodyLength } = await connection.request(requestText('GET', `${PATH}much?offset=${offset}`));
      if (status !== 200) throw new Error(head);
      bytes += bodyLength;
      offset = headerOf(head, 'stream-next-offset');
      ended = headerOf(head, 'stream-up-to-date') === 'true';
    }
    connection.close();
    if (bytes < megabytes * MIB) throw new Error(`${bytes} of ${megabytes * MIB} bytes`);
  };
  await readAll();
  await server.held();
  const all = () => Promise.all(Array.from({ length: readers }, readAll));
  const { rss } = await server.usage();
  // The first time tells what it takes in memory; it is over before the code is compiled, so speed is that of the next ones.
  await all();
  const before = await server.usage();
  const started = performance.now();
  for (let i = 0; i < times; i++) await all();
  const elapsed = (performance.now() - started) / 1000;
  const { cpu, highest } = await server.usage();
  const total = readers * megabytes * times;
  return {
    megabytesPerSecond: total / elapsed,
    cpuPerMegabyte: (cpu - before.cpu) / total,
    rssGrowth: Math.max(highest, before.highest) - rss,
  };
}

/** How long it takes to be told that there is nothing new, behind few messages and behind many. */
export async function tail(server, { few, many, rounds }) {
  const time = async (name, messages) => {
    await server.create(name);
    await fill(server, name, { inFlight: 64, size: 100, goesOn: (count) => count < messages - 1 });
    const { head } = await server.append(name, message(100));
    const bytes = requestText('GET', `${PATH}${name}?offset=${headerOf(head, 'stream-next-offset')}`);
    const times = [];
    for (let i = 0; i < rounds; i++) {
      const started = performance.now();
      const answer = await server.control.request(bytes);
      times.push(performance.now() - started);
      if (answer.status !== 200) throw new Error(answer.head);
    }
    return median(times.slice(rounds >> 2));
  };
  await time('warm', few);
  const short = await time('few', few);
  const long = await time('many', many);
  return { few: short, many: long, ratio: long / short };
}
