/**
 * The benchmarks under the Node that runs this file. Usually started by `npm run bench`, which does so for every Node it
 * finds and merges the reports. With `--only`, `--peers`, `--readers`, … it measures just these and writes nothing.
 */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { peerIds } from './peers/index.mjs';
import { printCases } from './report/cases.mjs';
import { runCases } from './runner.mjs';

const here = dirname(fileURLToPath(import.meta.url));

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    only: { type: 'string' },
    peers: { type: 'string' },
    readers: { type: 'string' },
    size: { type: 'string' },
    every: { type: 'string' },
    copy: { type: 'string' },
    yield: { type: 'string' },
    rounds: { type: 'string' },
    'target-ms': { type: 'string' },
    'warm-ms': { type: 'string' },
    ours: { type: 'string' },
    json: { type: 'boolean' },
    out: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});

const list = (text, otherwise) => (text === undefined ? otherwise : text.split(',').map((item) => item.trim()));
const numbers = (text, otherwise) => list(text, otherwise).map(Number);
const ours = flags.ours === undefined ? undefined : pathToFileURL(resolve(flags.ours)).href;

if (flags.ours === undefined && !existsSync(resolve(here, '../packages/fanpipe/dist/index.js'))) {
  process.stderr.write('packages/fanpipe/dist is missing (npm run build): the rows of fanpipe will fail.\n');
}

const timing = {
  warmMs: Number(flags['warm-ms'] ?? (flags.quick ? 60 : 200)),
  targetMs: Number(flags['target-ms'] ?? (flags.quick ? 60 : 200)),
};

function explore() {
  const peers = list(flags.peers, peerIds);
  const works = list(flags.only, ['throughput']);
  const cases = [];
  for (const work of works)
    for (const every of numbers(flags.every, [16]))
      for (const copy of list(flags.copy, ['reference']))
        for (const yieldBy of list(flags.yield, ['immediate']))
          for (const size of numbers(flags.size, [1024]))
            for (const readers of numbers(flags.readers, [1, 10, 100, 1000]))
              for (const peer of peers) {
                cases.push({ work, peer, readers, size, copy: copy === 'copy', every, yieldBy, ...timing });
              }
  return cases;
}

function onProgress({ round, rounds, done, total, outcome }) {
  if (!process.stderr.isTTY) return;
  process.stderr.write(
    `\r\x1b[Kround ${round + 1}/${rounds}, ${done + 1}/${total}: ${outcome.work} ${outcome.peer} ${outcome.readers ?? ''}`,
  );
}

const outcomes = runCases(explore(), {
  rounds: Number(flags.rounds ?? 3),
  execPath: process.execPath,
  ours,
  onProgress,
});
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
if (flags.json) process.stdout.write(`${JSON.stringify(outcomes)}\n`);
else process.stdout.write(printCases(outcomes));
if (outcomes.some((outcome) => outcome.error !== undefined)) process.exitCode = 1;
