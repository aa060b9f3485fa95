import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { ByteWriter, StalledReadError, StalledReadMonitor, TypedWriter } from 'fanpipe';

console.log('=== Stalled Monitor Example ===');

// 1. A source that falls silent. The read that waits is rejected, and the monitor can be read on.
{
  console.log('\nTimeout:');
  const writer = new TypedWriter<string>();
  const monitor = writer
    .stream()
    .stalledMonitor()
    .withTimeout(100)
    .onStall(({ kind }) => {
      console.log(`  onStall: ${kind}; the source is woken`);
      writer.writeSync('after the silence');
      writer.close();
    });
  writer.writeSync('before the silence');

  let stalls = 0;
  for (;;) {
    try {
      const { value, done } = await monitor.next();
      if (done) break;
      console.log(`  received: ${value}`);
    } catch (error) {
      if (!(error instanceof StalledReadError)) throw error;
      stalls++;
      assert.ok(error.waitedMs >= 100);
      console.log(`  stalled: ${error.code}, after 100 ms or more`);
    }
  }
  assert.equal(stalls, 1);
  console.log('  end');
}

// 2. A reader that does not ask. The same limit, a longer pause, and no stall: the source owes nobody anything.
{
  console.log('\nSlow reader:');
  const writer = new TypedWriter<string>();
  const monitor = writer.stream().stalledMonitor().withTimeout(100);
  for (const step of ['one', 'two', 'three']) writer.writeSync(step);
  writer.close();
  for await (const step of monitor) {
    console.log(`  received: ${step}`);
    await sleep(150);
  }
  console.log('  end, without a stall');
}

// 3. A source that crawls. Each item comes in time, so a timeout says nothing; the rate is what is too low.
{
  console.log('\nThroughput:');
  const writer = new ByteWriter();
  const monitor = writer.stream().stalledMonitor().minThroughput(1000, { gracePeriod: 200, window: 50 });
  const crawl = setInterval(() => writer.write('.'), 10);
  try {
    for await (const _ of monitor);
    assert.fail('a crawling source was not noticed');
  } catch (error) {
    if (!(error instanceof StalledReadError)) throw error;
    console.log(`  stalled: ${error.kind}, below 1,000 bytes per second for 200 ms or more`);
  } finally {
    clearInterval(crawl);
    // A loop that ends through a rejection leaves the monitor usable, so giving up takes a word.
    await monitor.return();
  }
  assert.equal(writer.streamCount, 0);
}

// 4. Anything that can be iterated can be monitored; here an async generator, slowed to one item each 20 ms.
{
  console.log('\nThrottle:');
  async function* numbers(): AsyncGenerator<number> {
    for (let i = 1; i <= 3; i++) yield i;
  }
  const start = performance.now();
  for await (const number of new StalledReadMonitor(numbers()).withThrottle(20).withTimeout(5000)) {
    assert.ok(performance.now() - start >= number * 20 - 1);
    console.log(`  received: ${number}, not before ${number * 20} ms`);
  }
}

console.log('\n✓ Silence, slowness and a reader that takes its time were told apart.');
