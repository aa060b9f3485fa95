import assert from 'node:assert/strict';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { type ByteStream, ByteWriter } from 'fanpipe';

async function readAll(name: string, stream: ByteStream): Promise<string> {
  console.log(`${name}: Starting to read...`);
  const decoder = new TextDecoder();
  let message = '';
  for await (const chunk of stream) {
    console.log(`${name}: Received ${chunk.byteLength} bytes`);
    message += decoder.decode(chunk, { stream: true });
  }
  message += decoder.decode();
  console.log(`${name}: Received end signal`);
  console.log(`${name}: Complete message: "${message}"`);
  return message;
}

console.log('=== Basic Byte Broadcasting Example ===\n');

const writer = new ByteWriter();
console.log(`Created ByteWriter with ID: ${writer.id}`);

const streams = [writer.stream(), writer.stream(), writer.stream()];
console.log(`Created ${streams.length} streams from the writer\n`);

// An async function runs up to its first await at once, so each reader is waiting when the first byte is written. It
// need not be: a stream sees everything from its opening on, whenever it is read.
const messages = streams.map((stream, index) => readAll(`Stream ${index + 1}`, stream));

console.log('\nWriting data to ByteWriter...');
for (const text of ['Hello, ', 'streaming ', 'world!']) {
  // The write takes effect within the call; its promise is about backpressure, and here there is none.
  const room = writer.write(text);
  console.log(`Wrote: "${text}"`);
  await room;
  // The bytes are with every stream already; this gives the readers a turn to print them.
  await turnOfTheLoop();
}

console.log('\nClosing the writer...');
writer.close();

console.log('\nWaiting for all streams to complete...\n');
const results = await Promise.all(messages);

console.log('\n=== Results ===');
for (const [index, result] of results.entries()) console.log(`Stream ${index + 1} received: "${result}"`);

for (const result of results) assert.equal(result, 'Hello, streaming world!');
console.log('\n✓ All streams received the same data successfully!');

assert.equal(writer.bytesWritten, 23);
console.log(`✓ Total bytes written: ${writer.bytesWritten}`);
