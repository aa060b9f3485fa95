/**
 * The conformance suite: what a user relies on, checked unchanged on every runtime. It imports the library by its name,
 * as a user does, and nothing else but what lies in this folder.
 */

import { endCases } from './end-cases.ts';
import { fetchCases } from './fetch-cases.ts';
import { type Case, type Report, runCases as runHere } from './harness.ts';
import { limitCases } from './limit-cases.ts';
import { monitorCases } from './monitor-cases.ts';
import { poolCases } from './pool-cases.ts';
import { readCases } from './read-cases.ts';
import { readableCases } from './readable-cases.ts';
import { remoteCases } from './remote-cases.ts';
import { openDirectly, piecesCase, serverCases } from './server-cases.ts';
import { sourceCases } from './source-cases.ts';
import { typedCases } from './typed-cases.ts';
import { writeCases } from './write-cases.ts';

/** All cases, in the order in which they run. */
export const cases: readonly Case[] = [
  ...writeCases,
  ...readCases,
  ...endCases,
  ...limitCases,
  ...typedCases,
  ...readableCases,
  ...sourceCases,
  ...monitorCases,
  ...remoteCases,
  ...poolCases,
  ...serverCases('by fetch', openDirectly),
  piecesCase('by fetch', openDirectly),
];

/**
 * Runs all cases here and tells how they went. `runtime` is the name to report; `url` is where a server of the runtime has what
 * the cases with a real `fetch` read.
 */
export function runConformance(runtime: string, url: string): Promise<Report> {
  return runHere(runtime, [...cases, ...fetchCases(url)]);
}
