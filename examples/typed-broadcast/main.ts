import assert from 'node:assert/strict';
import { type TypedStream, TypedWriter } from 'fanpipe';

/** What one step of a build reports. */
type BuildEvent =
  | { readonly kind: 'log'; readonly step: string; readonly text: string }
  | { readonly kind: 'done'; readonly step: string; readonly ms: number };

const events: BuildEvent[] = [
  { kind: 'log', step: 'fetch', text: 'resolving 120 packages' },
  { kind: 'done', step: 'fetch', ms: 840 },
  { kind: 'log', step: 'compile', text: 'checking 64 files' },
  { kind: 'log', step: 'compile', text: 'emitting 64 files' },
  { kind: 'done', step: 'compile', ms: 1310 },
  { kind: 'log', step: 'test', text: '412 passed' },
  { kind: 'done', step: 'test', ms: 2950 },
];

/** Everything, as lines. */
async function transcript(stream: TypedStream<BuildEvent>): Promise<string[]> {
  const lines: string[] = [];
  for await (const event of stream) {
    lines.push(
      event.kind === 'log'
        ? `${event.step}: ${event.text}`
        : `${event.step}: done in ${(event.ms / 1000).toFixed(2)} s`,
    );
  }
  return lines;
}

/** Only the times. It takes all that is waiting at each wake-up, since it does not care for single events. */
async function totalTime(stream: TypedStream<BuildEvent>): Promise<number> {
  let total = 0;
  for await (const batch of stream.batches()) {
    for (const event of batch) if (event.kind === 'done') total += event.ms;
  }
  return total;
}

/** Leaves at the first event of the step that it waits for. */
async function firstOf(step: string, stream: TypedStream<BuildEvent>): Promise<BuildEvent | undefined> {
  for await (const event of stream) if (event.step === step) return event;
  return undefined;
}

console.log('=== Typed Broadcasting Example ===\n');

// The last three events are kept for streams that open later.
const writer = new TypedWriter<BuildEvent>({ replay: 3 });

const lines = transcript(writer.stream());
const total = totalTime(writer.stream());
const compile = firstOf('compile', writer.stream());
// Looks at nothing until the build is over, and wants no more than the newest two events then.
const glance = writer.stream({ overflow: 'drop-oldest', highWaterMark: 2 });

for (const event of events) await writer.write(event);
console.log(`Values written: ${writer.valuesWritten}`);
writer.close();

console.log('\nTranscript:');
for (const line of await lines) console.log(`  ${line}`);
assert.equal((await lines).length, events.length);

console.log(`\nTime of all steps: ${(await total) / 1000} s`);
assert.equal(await total, 5100);

// Values are shared by reference: every stream gets the very object that was written.
const found = await compile;
assert.equal(found, events[2]);
console.log(`First event of "compile": ${found?.kind}`);

const seen = await glance.array();
console.log(`A glance at the end: ${seen.map((event) => event.step).join(', ')} (missed ${glance.missed})`);
assert.deepEqual(seen, events.slice(-2));
assert.equal(glance.missed, 5);

const late = await transcript(writer.stream({ from: 'start' }));
console.log('\nA late joiner, after the end:');
for (const line of late) console.log(`  ${line}`);
assert.equal(late.length, 3);

console.log('\n✓ Every stream got what it was promised.');
