import { chmodSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import { describe, expect, test } from 'vitest';
import { lmdbBackend } from '../../../packages/server/src/backends/lmdb/index.ts';
import { StorageError } from '../../../packages/server/src/errors.ts';
import { makeScratch } from './scratch.ts';

const scratch = makeScratch();

async function inMeta(path: string, key: string, value?: string): Promise<string | undefined> {
  const root = open<Buffer, Buffer>({ path, keyEncoding: 'binary', noSubdir: false, overlappingSync: false });
  const meta = root.openDB<Buffer, Buffer>({ name: 'meta', encoding: 'binary', keyEncoding: 'binary' });
  if (value !== undefined) await meta.put(Buffer.from(key), Buffer.from(value));
  const stored = meta.get(Buffer.from(key))?.toString();
  await root.close();
  return stored;
}

function failureToOpen(path: string): StorageError {
  try {
    lmdbBackend({ path });
  } catch (error) {
    expect(error).toBeInstanceOf(StorageError);
    return error as StorageError;
  }
  throw new Error('It was opened');
}

/** What is closed behind the back of who called takes a moment. */
async function eventually<T>(look: () => Promise<T>, expected: T): Promise<void> {
  for (let patience = 0; patience < 100; patience++) if ((await look()) === expected) return;
  expect(await look()).toBe(expected);
}

describe('the folder', () => {
  test('is made, with those above it', async () => {
    const path = join(scratch.folder(), 'a', 'ü b', 'c.mdb');
    await scratch.open(path).create('x', { contentType: 'text/plain' });
    expect(readFileSync(join(path, 'data.mdb')).length).toBeGreaterThan(0);
  });

  test('is a file', () => {
    const path = join(scratch.folder(), 'file');
    writeFileSync(path, 'x');
    expect(failureToOpen(path).message).toMatch(/^The store .*file cannot be opened: EEXIST/);
    expect(failureToOpen(join(path, 'below')).message).toMatch(/cannot be opened: ENOTDIR/);
    expect(readFileSync(path, 'utf8')).toBe('x');
  });

  test.skipIf(process.platform !== 'linux')('is where none can be made (/proc of Linux)', () => {
    expect(failureToOpen('/proc/a').message).toMatch(/cannot be opened: ENOENT/);
    expect(failureToOpen('/proc/a/b').message).toMatch(/cannot be opened: ENOENT/);
  });

  // The superuser may write everywhere.
  test.skipIf(process.getuid?.() === 0)('cannot be written (the superuser may write everywhere)', () => {
    const path = scratch.folder();
    chmodSync(path, 0o500);
    expect(failureToOpen(path).message).toMatch(/cannot be opened/);
    chmodSync(path, 0o700);
  });

  test('has a folder where the file of the store would be', async () => {
    const path = scratch.folder();
    mkdirSync(join(path, 'data.mdb'));
    expect(failureToOpen(path).message).toMatch(/cannot be opened/);
  });
});

describe('what is stored there', () => {
  test('is no LMDB store, or one of another version', async () => {
    const path = scratch.folder();
    const file = join(path, 'data.mdb');
    for (const bytes of [Buffer.from('short'), Buffer.alloc(20_000), Buffer.from('Something else. '.repeat(1000))]) {
      writeFileSync(file, bytes);
      expect(failureToOpen(path).message).toBe(`What is in ${path} is no LMDB store, or one of another version`);
    }
    const other = scratch.folder();
    await scratch.open(other).close();
    const bytes = readFileSync(join(other, 'data.mdb'));
    bytes.writeUInt32LE(1, 28);
    writeFileSync(file, bytes);
    expect(failureToOpen(path).message).toBe(`What is in ${path} is no LMDB store, or one of another version`);
    writeFileSync(file, '');
    await scratch.open(path).close();
  });

  test('has been cut off', async () => {
    const path = scratch.folder();
    const backend = scratch.open(path);
    const { stream } = await backend.create('a', { contentType: 'text/plain' });
    await (await stream.acquire()).writer.append([Buffer.alloc(1_000_000)]);
    await backend.close();
    const file = join(path, 'data.mdb');
    const { size } = statSync(file);
    for (const left of [size - 4096, 8192, 5000]) {
      truncateSync(file, left);
      expect(failureToOpen(path).message).toMatch(
        new RegExp(`^The store ${path} is damaged: its file has ${left} bytes, of \\d+ at least$`),
      );
    }
  });

  test('is of another program', async () => {
    const path = scratch.folder();
    const root = open<string, string>({ path, noSubdir: false });
    await root.put('name', 'value');
    await root.close();
    expect(failureToOpen(path).message).toContain('is an LMDB store of another program');
    const again = open<string, string>({ path, noSubdir: false });
    expect([...again.getKeys()]).toEqual(['name']);
    await again.close();
  });

  test('has a newer format: it is refused, is not changed, and is not taken', async () => {
    const path = scratch.folder();
    await scratch.open(path).close();
    const format = Number(await inMeta(path, 'format'));
    await inMeta(path, 'format', String(format + 1));
    const message = `The store ${path} has format ${format + 1}; this version reads format ${format} only`;
    expect(failureToOpen(path).message).toBe(message);
    expect(await inMeta(path, 'owner')).toBeUndefined();
    expect(await inMeta(path, 'format', String(format))).toBe(String(format));
    await scratch.open(path).close();
  });
});

test('a record that is not one: the store is not opened, and not kept', async () => {
  const path = scratch.folder();
  const backend = scratch.open(path);
  await backend.create('a', { contentType: 'text/plain' });
  await backend.close();
  for (const record of ['{"name":', 'null', '{}', '{"generation":7}']) {
    const root = open<Buffer, Buffer>({ path, keyEncoding: 'binary', noSubdir: false, overlappingSync: false });
    const streams = root.openDB<Buffer, Buffer>({ name: 'streams', encoding: 'binary', keyEncoding: 'binary' });
    await streams.put(Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]), Buffer.from(record));
    await root.close();
    expect(failureToOpen(path).message).toContain(path);
    await eventually(() => inMeta(path, 'owner'), undefined);
  }
});

test('an append that cannot be stored changes nothing, and the next one is', async () => {
  const backend = scratch.open(scratch.folder());
  const { stream } = await backend.create('a', { contentType: 'text/plain' });
  const { writer } = await stream.acquire();
  const name = 'n'.repeat(1970);
  await writer.append([Buffer.from('abc')], { facts: new Map([[name, '']]) });
  const tooLong = writer.append([Buffer.from('def')], { facts: new Map([[`${name}n`, 'x']]) });
  await expect(tooLong).rejects.toThrow('The name of a fact has 1971 bytes; at most 1970 are stored');
  await expect(tooLong).rejects.toMatchObject({ code: 'ERR_FANPIPE_STORAGE', isFull: false });
  expect((await writer.append([Buffer.from('ghi')])).tail).toBe(6);
  expect((await stream.acquire()).facts).toEqual(new Map([[name, '']]));
});
