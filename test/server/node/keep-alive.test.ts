/** What the system is asked to do with connections on which nothing happens. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { eventually, RawClient, serveTest, whole } from './node-rig.ts';
import { cert, key } from './test-certificate.ts';

/** The timer that a connection of a local port has, as Linux shows it: 2 is the one that asks whether the other side is there. */
function timersOf(port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const established = new RegExp(`^ *\\d+: 0100007F:${hex} [0-9A-F:]+ 01 [0-9A-F:]+ (\\d\\d):`, 'gm');
  return [...readFileSync('/proc/net/tcp', 'latin1').matchAll(established)].map(([, timer]) => timer as string);
}

test.skipIf(process.platform !== 'linux').each([
  ['plain', {}],
  ['TLS', { tls: { cert, key } }],
])('%s: after a machine that has gone without a word is asked (Linux tells of its timers)', async (_, options) => {
  const serving = await serveTest(() => whole(200, 'fine'), options);
  await RawClient.open(serving.port);
  await eventually(() => serving.connections === 1 && timersOf(serving.port).length === 1);
  // Whatever else is to be sent again has its own timer first.
  await eventually(() => timersOf(serving.port)[0] === '02');
  expect(timersOf(serving.port)).toEqual(['02']);
});
