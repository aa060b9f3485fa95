/** One file, read once, for many HTTP clients. One stops reading, is cut off, and the others finish. */
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { ByteWriter, DisconnectedError } from 'fanpipe';
import { pipeToResponse } from 'fanpipe/node';
import { CLIENTS, connect, FILE_SIZE, makeFile, serve } from './clients.ts';

const MARK = 4 * 1024 * 1024;
/** How long the file waits for the clients after each piece, in milliseconds. */
const PATIENCE = 250;

console.log('=== HTTP Fan-out Example ===\n');
console.log(`${FILE_SIZE / 1024 / 1024} MiB to ${CLIENTS} clients; client ${CLIENTS} stops reading`);

const { path, digest } = makeFile();
const { server, responses } = await serve();
const clients = connect(server);

const writer = new ByteWriter();
const endings = (await responses).map((response) => {
  // Each client may lag by 4 MiB. Beyond that it is cut off, its backlog is freed, and nobody else notices.
  const stream = writer.stream({ overflow: 'disconnect', highWaterMark: MARK });
  return pipeToResponse(stream, response).then(
    () => 'finished',
    (error: unknown) => error,
  );
});

/** Waits until all clients have taken what was written, but not for ever: a file would outrun even the fastest. */
async function waitForClients(): Promise<void> {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE);
  await writer.flush({ signal: patience.signal }).catch(() => {});
  clearTimeout(timer);
}

let reads = 0;
for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
  await writer.write(chunk, { copy: false });
  reads++;
  await waitForClients();
}
await writer.end();

for (const [index, ending] of (await Promise.all(endings)).entries()) {
  const client = clients[index];
  if (index + 1 < CLIENTS) {
    assert.equal(ending, 'finished');
    assert.equal(await client?.digest, digest);
    console.log(`Client ${index + 1}: the whole file`);
  } else {
    assert.ok(ending instanceof DisconnectedError);
    assert.ok(ending.missed > MARK);
    client?.readOn();
    assert.equal(await client?.digest, undefined);
    console.log(`Client ${index + 1}: cut off, ${ending.code}`);
  }
}
assert.equal(writer.bytesWritten, FILE_SIZE);
assert.equal(writer.streamCount, 0);
console.log(`\n✓ The file was read once, in ${reads} pieces, and the client that stopped held up nobody.`);
server.close();
