import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { RemoteByteStream, type RemoteOptions } from '../../packages/fanpipe/src/remote/index.ts';
import { FaultServer, type Script } from './fault-server.ts';
import { IdleClock } from './idle-clock.ts';
import { until } from './in-parallel.ts';

/** A server that goes wrong as told, and for each test one reader of it; both by a clock of that test. */
export interface RemoteScene {
  readonly server: FaultServer;
  readonly clock: IdleClock;
  /** Has the server run `script` at `/x`, and reads that. Delays have no chance in them, unless `options` say otherwise. */
  open(script: Script, options: RemoteOptions): RemoteByteStream;
}

/**
 * Sets a scene for each test of this file, of which `begin` is told, and clears it away: no timer may be left once the reader is
 * closed.
 */
export function remoteScenes(begin: (scene: RemoteScene) => void): void {
  let server: FaultServer;
  let clock: IdleClock;
  let remote: RemoteByteStream | undefined;
  const open = (script: Script, options: RemoteOptions): RemoteByteStream => {
    const opened = new RemoteByteStream(server.on('/x', script, { clock }), { clock, random: () => 0, ...options });
    clock.probe = () => opened.stats().bytesFetched;
    remote = opened;
    return opened;
  };
  beforeAll(async () => {
    server = await FaultServer.start();
  });
  afterAll(() => server.close());
  beforeEach(() => {
    clock = new IdleClock();
    remote = undefined;
    begin({ server, clock, open });
  });
  afterEach(async () => {
    remote?.close();
    await until(() => clock.pending === 0, 'no timer is left');
    clock.stop();
  });
}
