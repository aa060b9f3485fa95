import { runConformanceTests } from '@durable-streams/server-conformance-tests';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from '../../../packages/server/src/index.ts';
import { type Serving, serve } from '../../../packages/server/src/node/index.ts';
import { StreamServer } from '../../../packages/server/src/stream-server.ts';

/** Of the suite's own long-poll tests. */
const LONG_POLL_TIMEOUT = 500;

/**
 * The suite of the protocol, `@durable-streams/server-conformance-tests`, all of it but subscriptions, against a server over a real socket.
 * It finds no server of its own, so it gets one as people start it: all options are the defaults but the time that a long-poll waits.
 */
export function officialSuite(
  makeBackend: () => Backend | Promise<Backend>,
  clean: () => Promise<void> = async () => {},
): void {
  const options = { baseUrl: '', longPollTimeoutMs: LONG_POLL_TIMEOUT, subscriptions: false };
  const faults: unknown[] = [];
  let serving: Serving;

  beforeAll(async () => {
    const server = new StreamServer({
      backend: await makeBackend(),
      longPollTimeout: LONG_POLL_TIMEOUT,
      onError: (error) => faults.push(error),
    });
    serving = await serve({ server, port: 0, onError: (error) => faults.push(error) });
    options.baseUrl = serving.url;
  });

  afterAll(async () => {
    await serving.close({ grace: 1_000 });
    await clean();
  });

  runConformanceTests(options);

  test('the suite met no fault of the server', () => expect(faults).toEqual([]));
}
