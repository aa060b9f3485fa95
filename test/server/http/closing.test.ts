/** The end of a server: what it waits for, and for how long. */
import { expect, test } from 'vitest';
import { memoryBackend, StreamServer } from '../../../packages/server/src/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { isSettled } from '../hub/reading.ts';
import { type BackendCall, wrapBackend } from '../hub/wrapped-backend.ts';
import type { Answer } from './http-rig.ts';
import { HttpRig } from './http-rig.ts';

async function slow(): Promise<{ server: StreamServer; clock: FakeClock; answer: () => void }> {
  const clock = new FakeClock();
  let answer = (): void => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const before = (call: BackendCall): Promise<void> | undefined => (call === 'append' ? answered : undefined);
  const server = new StreamServer({
    backend: wrapBackend(memoryBackend({ clock, firstGeneration: 1 }), { before }),
    clock,
  });
  return { server, clock, answer };
}

test('close waits for what was written', async () => {
  const { server, clock, answer } = await slow();
  const writer = server.writer('s');
  void writer.write('abc');
  const ended = writer.end();
  const closed = server.close();
  expect(server.close()).toBe(closed);
  expect(await isSettled(closed)).toBe(false);
  answer();
  await closed;
  expect(await ended).toBe(3);
  expect(clock.pending).toBe(0);
});

test('close does not wait for ever for a store that does not answer; all are told', async () => {
  const { server, clock } = await slow();
  const { stream } = await server.hub.create('s');
  const reader = expect(stream.read(0).next()).rejects.toMatchObject({ code: 'ERR_FANPIPE_SERVER_CLOSED' });
  const ended = expect(server.writer('s').end()).rejects.toMatchObject({ code: 'ERR_FANPIPE_SERVER_CLOSED' });
  await settle();
  const closed = server.close();
  await clock.advance(9_000);
  expect(await isSettled(closed)).toBe(false);
  await clock.advance(1_000);
  await closed;
  await reader;
  await ended;
  expect(clock.pending).toBe(0);
});

test.each(['live=long-poll&offset=now', 'live=sse&offset=now', 'live=raw'])(
  'who was looking at the stream (%s) when the closing began does not wait any more',
  async (query) => {
    const clock = new FakeClock();
    let look: (() => void) | undefined;
    const before = (call: BackendCall): Promise<void> | undefined =>
      call === 'state' && isHeld ? new Promise((resolve) => (look = resolve)) : undefined;
    let isHeld = false;
    const rig = new HttpRig({ backend: wrapBackend(memoryBackend({ clock, firstGeneration: 1 }), { before }), clock });
    await rig.create('s');
    isHeld = true;
    let answer: Answer | undefined;
    void rig.call(`GET s?${query}`).then((value) => (answer = value));
    while (look === undefined) await settle();
    rig.server.drain();
    isHeld = false;
    look();
    for (let i = 0; i < 10; i++) await settle();
    expect(answer?.status).toBe(503);
    expect((await rig.server.hub.stats()).readers).toBe(0);
  },
);

test.each(['live=sse&offset=now', 'live=raw'])(
  'a reply (%s) that is sent after the closing began is over',
  async (query) => {
    const rig = new HttpRig();
    await rig.create('s');
    const answer = await rig.call(`GET s?${query}`);
    rig.server.drain();
    const client = await answer.open().done();
    expect(client.state).toBe(query === 'live=raw' ? 'aborted' : 'ended');
    expect(rig.faults).toEqual([]);
  },
);
