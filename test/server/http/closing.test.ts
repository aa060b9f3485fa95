/** The end of a server: what it waits for, and for how long. */
import { expect, test } from 'vitest';
import { memoryBackend, StreamServer } from '../../../packages/server/src/index.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { isSettled } from '../hub/reading.ts';
import { type BackendCall, wrapBackend } from '../hub/wrapped-backend.ts';

async function slow(): Promise<{ server: StreamServer; clock: FakeClock; answer: () => void }> {
  const clock = new FakeClock();
  let answer = (): void => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const before = (call: BackendCall): Promise<void> | undefined => (call === 'append' ? answered : undefined);
  const server = new StreamServer({ backend: wrapBackend(memoryBackend({ clock }), { before }), clock });
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
