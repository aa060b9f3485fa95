import { appends, held, longPoll } from './work/append.mjs';
import { catchUps, tail } from './work/catch-up.mjs';
import { closedLoop, idle, paced, stuck } from './work/fan-out.mjs';

const ALL = ['memory', 'lmdb', 'reference', 'reference-files', 'bare'];
const OURS = ['memory', 'lmdb', 'reference'];

/** The cases, in the order in which they are run. */
export function planOf(quick) {
  const seconds = quick ? 2 : 6;
  const size = 100;
  return [
    {
      id: 'closed-loop',
      title: '1,000 readers of events, the next message when all have the last',
      run: closedLoop,
      options: { readers: 1000, seconds, size },
      servers: ALL,
    },
    {
      id: 'paced',
      title: '1,000 readers of events, 5 messages a second',
      run: paced,
      options: { readers: 1000, seconds: quick ? 4 : 12, perSecond: 5, size },
      servers: [...OURS, 'bare'],
    },
    {
      id: 'long-poll',
      title: 'an append, until one who waits for it has it',
      run: longPoll,
      options: { rounds: quick ? 500 : 3000, size },
      servers: ALL,
    },
    {
      id: 'appends',
      title: 'appends of 100 bytes, 64 in flight',
      run: appends,
      options: { inFlight: 64, seconds, size },
      servers: ALL,
    },
    {
      id: 'catch-ups',
      title: '200 read 10 MB at once',
      run: catchUps,
      options: { readers: 200, megabytes: 10, times: quick ? 1 : 3 },
      servers: [...OURS, 'bare'],
    },
    {
      id: 'stuck',
      title: '200 MB are appended, one does not read',
      run: stuck,
      options: { megabytes: 200 },
      servers: OURS,
    },
    {
      id: 'held',
      title: 'messages of 100 bytes, appended one by one',
      run: held,
      options: { messages: quick ? 20_000 : 60_000, size },
      servers: ['memory', 'reference'],
    },
    {
      id: 'tail',
      title: 'nothing new, behind 100 messages and behind 180,000',
      run: tail,
      options: { few: 100, many: 180_000, rounds: quick ? 100 : 400 },
      servers: OURS,
    },
    {
      id: 'idle',
      title: 'readers of events that have nothing to read',
      run: idle,
      options: { readers: quick ? 1000 : 2000 },
      // The young generation of V8 has its full size from the start: that it grows with the work done is no cost of a reader.
      nodeArgs: ['--min-semi-space-size=16'],
      servers: [...OURS, 'bare'],
    },
  ];
}
