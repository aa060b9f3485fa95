/** Between the moment at which the store fails an append and that at which its caller hears of it, no other may take its place. */
import { expect, test } from 'vitest';
import type { Storage, StorageWrite } from '../../../packages/server/src/backends/index.ts';
import { LocalBackend } from '../../../packages/server/src/backends/index.ts';
import { MemoryStorage } from '../../../packages/server/src/backends/memory/memory-storage.ts';
import { StorageError } from '../../../packages/server/src/errors.ts';
import { Hub } from '../../../packages/server/src/hub/index.ts';
import { settle } from '../../support/fake-clock.ts';
import { bytes, readBytes } from './reading.ts';

/** Fails writes when it is told to; `onFailed` runs just after the backend has heard of it. */
class FailingStorage extends MemoryStorage implements Storage {
  onFailed: (() => void) | undefined;

  constructor() {
    super(1e6);
  }

  override write(write: StorageWrite): Promise<void> {
    const { onFailed } = this;
    if (onFailed === undefined || write.chunks.length === 0) return super.write(write);
    this.onFailed = undefined;
    const failure = Promise.reject(new StorageError('broken'));
    // Behind the backend's own handler, which is added when this returns.
    queueMicrotask(() => failure.catch(onFailed));
    return failure;
  }
}

test('ACK, PRODUCER: a producer goes on behind what was acknowledged, and nothing is taken for a duplicate that was lost', async () => {
  const storage = new FailingStorage();
  const backend = new LocalBackend(storage);
  const { stream } = await new Hub(backend).create('s');
  const send = (seq: number) => stream.append([bytes(`<${seq}>`)], { producer: { id: 'p', epoch: 0, seq } });
  await send(0);
  const inTheGap: Promise<unknown>[] = [];
  storage.onFailed = () => inTheGap.push(send(2));
  await expect(send(1)).rejects.toThrow('broken');
  await settle();
  expect(await Promise.allSettled(inTheGap)).toMatchObject([{ value: { kind: 'sequence-gap', expected: 1 } }]);
  expect(await send(1)).toMatchObject({ kind: 'appended' });
  expect(await send(2)).toMatchObject({ kind: 'appended' });
  expect(await readBytes(stream.read(0), 9)).toBe('<0><1><2>');
  await backend.close();
});

test('a writer leaves no hole', async () => {
  const storage = new FailingStorage();
  const backend = new LocalBackend(storage);
  const hub = new Hub(backend);
  const writer = hub.writer('s');
  await writer.write('a');
  await writer.flush();
  let ran = false;
  storage.onFailed = () => {
    ran = true;
  };
  void writer.write('b');
  // What comes in every moment around the failure.
  for (let i = 0; i < 30; i++) {
    void writer.write('c').catch(() => {});
    await null;
  }
  await expect(writer.end()).rejects.toThrow('broken');
  expect(ran).toBe(true);
  expect(await (await hub.open('s')).state()).toMatchObject({ tail: 1, end: undefined });
  await backend.close();
});

test('what needs nothing before it is taken, as if it had come later', async () => {
  const storage = new FailingStorage();
  const backend = new LocalBackend(storage);
  const { stream } = await new Hub(backend).create('s');
  await stream.append([bytes('a')]);
  const inTheGap: Promise<unknown>[] = [];
  storage.onFailed = () => inTheGap.push(stream.append([bytes('c')]));
  await expect(stream.append([bytes('b')])).rejects.toThrow('broken');
  await settle();
  expect(await Promise.all(inTheGap)).toMatchObject([{ kind: 'appended', offset: 1 }]);
  expect(await readBytes(stream.read(0), 2)).toBe('ac');
  await backend.close();
});
